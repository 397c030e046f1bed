# The same with a hundred nodes.

beside=scale

prepare()
{
	driven nodes_100 100 10 true
}

rate()
{
	. "$here/scale.sh"
	"${1%_*}" nodes_100
}
