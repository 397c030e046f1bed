/*
 * instance.c
 *	  Which database this is.
 */
#include "store/instance.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "store/spi.h"
#include "utils/memutils.h"
#include "zdu.h"

static ZduQuery newest = {
	.text = "SELECT epoch, mark FROM zdu.instance ORDER BY epoch DESC LIMIT 1"
};

static ZduQuery insert_instance = {
	.text = "INSERT INTO zdu.instance (epoch, mark, at, reason) "
	"SELECT coalesce(max(epoch), 0) + 1, $1, $2, $3 FROM zdu.instance RETURNING epoch",
	.nargs = 3, .argtypes = {TEXTOID, TIMESTAMPTZOID, TEXTOID}
};

/*
 * Everything but the timeline, which alone can change while a backend lives.
 * The machine's id tells a copied data directory from its original, the
 * directory's inode a copy on the same machine.
 */
static const char *
fixed_mark(void)
{
	static char *mark = NULL;

	if (mark == NULL)
	{
		char		machine[64] = "";
		struct stat st;
		FILE	   *file = AllocateFile("/etc/machine-id", "r");

		if (file != NULL)
		{
			if (fgets(machine, sizeof(machine), file) == NULL)
				machine[0] = '\0';
			machine[strcspn(machine, "\n")] = '\0';
			FreeFile(file);
		}
		if (stat(DataDir, &st) != 0)
			st.st_ino = 0;
		mark = MemoryContextStrdup(TopMemoryContext,
								   psprintf("system=" UINT64_FORMAT " database=%u machine=%s inode=%lu",
											GetSystemIdentifier(), MyDatabaseId, machine, (unsigned long) st.st_ino));
	}
	return mark;
}

static char *
present_mark(void)
{
	return psprintf("%s timeline=%u", fixed_mark(), GetWALInsertionTimeLine());
}

bool
zdu_instance_matches(const char *mark, bool auto_adopt)
{
	char	   *same;
	const char *timeline;

	/* A standby shows what its primary recorded; only a primary decides. */
	if (mark == NULL || RecoveryInProgress() || strcmp(mark, present_mark()) == 0)
		return true;
	/*
	 * A standby that was promoted has the same system and database, maybe on
	 * another machine, and a later timeline.  A copy that was just started
	 * has the timeline it was copied with, and nobody said that its original is gone.
	 */
	same = psprintf("system=" UINT64_FORMAT " database=%u ", GetSystemIdentifier(), MyDatabaseId);
	timeline = strstr(mark, " timeline=");
	return auto_adopt && strncmp(mark, same, strlen(same)) == 0 &&
		timeline != NULL && strtoul(timeline + strlen(" timeline="), NULL, 10) < GetWALInsertionTimeLine();
}

int
zdu_instance_adopt(const char *reason)
{
	ZduReader	r;

	zdu_run(&insert_instance, (ZduArg[]) {zdu_text(present_mark()), zdu_time(zdu_now()), zdu_text(reason)});
	r = zdu_reader();
	return zdu_next_row(&r) ? zdu_read_int4(&r) : 0;
}

void
zdu_instance_init(void)
{
	if (zdu_run(&newest, NULL) == 0)
		zdu_instance_adopt("first use");
}
