/*
 * A file system of SQLite that fails at the k-th operation that changes
 * something, or gives out every file read-only.
 */

#ifndef REGRESS_LIB_FAULTFS_H
#define REGRESS_LIB_FAULTFS_H

#include <stdbool.h>

#include <sqlite3.h>

#define FAULTFS		"faulty"	/* its name */

struct faultfs {
	unsigned int	 ops;		/* that changed something */
	unsigned int	 fail_at;	/* 0: never */
	int		 with;
	bool		 stay;		/* all after it fail too */
	bool		 readonly;
};

/* Registers it, once; what it is to do.  NULL if SQLite refuses it. */
struct faultfs	*faultfs_new(void);

#endif
