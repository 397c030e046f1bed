# The same with a hundred nodes.

beside=scale

prepare()
{
	driven nodes_100 100 10
}

rate()
{
	. "$here/scale.sh"
	"${1%_*}" nodes_100
}
