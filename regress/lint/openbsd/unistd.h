/* What OpenBSD's <unistd.h> has beyond the one of this system. */

#ifndef LINT_OPENBSD_UNISTD_H
#define LINT_OPENBSD_UNISTD_H

#include_next <unistd.h>

int	pledge(const char *, const char *);
int	unveil(const char *, const char *);

#endif
