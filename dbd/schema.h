/*
 * The schema of the SQLite store: what file is ours, which version it has,
 * and how it is brought forward.  For store_sqlite*.c and tests.
 */

#ifndef DBD_SCHEMA_H
#define DBD_SCHEMA_H

#include <sqlite3.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "hsdb": PRAGMA application_id of our files. */
#define SCHEMA_APPLICATION	0x68736462

/* From version to - 1 to version to.  0 is an empty file. */
struct schema_step {
	uint32_t	 to;
	const char	*sql;		/* several statements */
};

struct schema_conf {
	const char	*path;		/* the database's, for the copy */
	const char	*vfs;		/* NULL: the default one */
	const struct schema_step *steps; /* 1, 2, 3 ... */
	unsigned int	 nsteps;
	char		*why;		/* for the administrator */
	size_t		 whylen;
};

/* The steps that this program knows; *n of them, the last to STORE_VERSION. */
const struct schema_step	*schema_steps(unsigned int *n);

/*
 * The version of an open database, 0 for an empty one.  Writes nothing.
 * -1 with why if the file is not ours, damaged, or newer than the last step.
 */
int	schema_version(sqlite3 *, const struct schema_conf *);
/*
 * Takes the steps from version on, each in a transaction of its own.  Before
 * the first, unless the file is empty, it is checked and copied to PATH.vN,
 * where N is its version.  -1 with why if one fails: the database then stands
 * where the step before it ended.
 */
int	schema_migrate(sqlite3 *, uint32_t version, const struct schema_conf *);
/* Looks through the whole file; -1 with why if it is damaged. */
int	schema_check(sqlite3 *, const struct schema_conf *);

#endif
