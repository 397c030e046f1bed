# An UPDATE of one row by its key, durable.

beside=beat

prepare()
{
	database plain_update
	sql plain_update "CREATE TABLE heard (id integer PRIMARY KEY, at timestamptz) WITH (fillfactor = 50)"
	sql plain_update "INSERT INTO heard SELECT i, now() FROM generate_series(1, 32) AS i"
	sql plain_update "VACUUM ANALYZE"
}

rate()
{
	. "$here/beat.sh"
	per_second plain_update -c "${1##*_}" -j 2 -t "$(amount "$1")" <<-'END'
		\set n 1 + :client_id
		UPDATE heard SET at = clock_timestamp() WHERE id = :n
	END
}
