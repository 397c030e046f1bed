# A queue as one writes it by hand: what is done is marked, as much is claimed, in one call.

beside=steps

prepare()
{
	database queue
	sql queue "CREATE TABLE job (id bigint PRIMARY KEY, state text NOT NULL DEFAULT 'pending', worker text, evidence jsonb,
		started_at timestamptz, ended_at timestamptz)"
	sql queue "CREATE INDEX job_pending_idx ON job (id) WHERE state = 'pending'"
	sql queue "INSERT INTO job (id) SELECT generate_series(1, 150000)"
	sql queue "VACUUM ANALYZE"
}

rate()
{
	batch=${1##*_}
	calls=$(. "$here/steps.sh" && calls "$batch")
	per_second queue -D slots="$batch" -D ids='{}' -t "$calls" <<-'END' |
		WITH done AS (
			UPDATE job SET state = 'succeeded', ended_at = clock_timestamp(), evidence = '{"version": "1.1.0"}'
			WHERE id = ANY (:ids::bigint[])
		), claimed AS (
			SELECT id FROM job WHERE state = 'pending' ORDER BY id LIMIT :slots FOR UPDATE SKIP LOCKED
		), started AS (
			UPDATE job j SET state = 'running', worker = 'w', started_at = clock_timestamp()
			FROM claimed c WHERE j.id = c.id RETURNING j.id
		)
		SELECT array_agg(id)::text AS ids FROM started \gset
	END
	LC_ALL=C awk -v batch="$batch" '{ print $1 * batch }'
}
