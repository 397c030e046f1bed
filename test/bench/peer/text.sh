# The same as text, in the order of bytes.

beside=sort

prepare()
{
	sql sort "ALTER TABLE thing ADD plain text COLLATE \"C\""
	sql sort "UPDATE thing SET plain = version::text"
	sql sort "VACUUM FULL ANALYZE thing"
}

rate()
{
	. "$here/sort.sh"
	sort_of plain
}
