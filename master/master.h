/* The master process: everything of it that has to do with the system. */

#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <stdbool.h>
#include <stddef.h>

#include "master/conf_scan.h"

struct master;

struct master_args {
	const char		*conf;		/* -f */
	const struct scan_macro	*macros;	/* -D */
	size_t			 nmacros;
	char			*self;		/* our real path, or NULL */
	bool			 foreground;	/* -d: and log to stderr */
	unsigned int		 verbose;	/* -v */
	/*
	 * Called once, when all serve: the parent may return to its shell.
	 * to_stderr: that is where the log goes.  May be NULL.
	 */
	void			(*serving)(bool to_stderr);
};

/*
 * Reads the configuration and finds users and programs.  Exits with 1 and
 * the reason if that fails.  args must live on.
 */
struct master	*master_new(const struct master_args *);
/* headscaled -n: checks what is left to check; the exit code. */
int		 master_check(struct master *);
/* Starts and supervises until a signal or a failed start; the exit code. */
int		 master_run(struct master *);

#endif
