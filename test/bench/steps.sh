# Steps reported as done and granted, by one worker in one cluster: steps_BATCH.

cases()
{
	echo steps_100 least 0.4 queue
	echo steps_1 least 0.3 queue
}

# A hundred in flight need a hundred nodes; each run takes new ones.
prepare()
{
	driven steps_100 15000 100
	driven steps_1 1500 1
}

# As many calls as the queue gets, so many that the first one, which loads and plans, counts little: calls BATCH
calls()
{
	echo "$(($1 == 1 ? 500 : 200))"
}

# The reports are put together as text, as a worker does: that is not what is measured.
rate()
{
	batch=${1##*_}
	per_second "$1" -D slots="$batch" -D reports='[]' -t "$(calls "$batch")" <<-'END' |
		SELECT '[' || coalesce(string_agg('{"token": "' || token || '", "verb": "probe", "state": "done", '
			'"evidence": {"version": "1.1.0"}}', ','), '') || ']' AS reports
		FROM zdu_work('w', 'w1', 'c', :reports, :slots, programs => '{look}') WHERE token IS NOT NULL \gset
	END
	LC_ALL=C awk -v batch="$batch" '{ print $1 * batch }'
}
