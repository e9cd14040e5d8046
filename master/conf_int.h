/* Between conf.c and conf_check.c. */

#ifndef MASTER_CONF_INT_H
#define MASTER_CONF_INT_H

#include <confuse.h>

#include "master/conf.h"

/* What the checks work on. */
struct check {
	struct conf	*conf;
	cfg_t		*cfg;
	const char	*dir;
	unsigned int	 cores;
	char		*why;
	size_t		 whylen;
	bool		 failed;
};

/* Remembers the first error, at the key's line. */
void	check_fail(struct check *, const char *path, const char *fmt, ...)
	    __attribute__((__format__(printf, 3, 4)));
/* Adds a warning, at the key's line. */
void	check_warn(struct check *, const char *path, const char *fmt, ...)
	    __attribute__((__format__(printf, 3, 4)));
/* Moves every value from cfg to conf and judges it. */
void	check_all(struct check *);
/* The part about server_url, base_domain and DNS (conf_names.c). */
void	check_names(struct check *);

#endif
