# Four rounds of ten nodes, each seven times 0.2 s: 5.6 s for forty, and nothing else.

beside=roll

prepare()
{
	:
}

rate()
{
	LC_ALL=C awk 'BEGIN { print 40 / 5.6 }'
}
