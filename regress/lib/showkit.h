/* What tests of headscalectl's output share. */

#ifndef REGRESS_LIB_SHOWKIT_H
#define REGRESS_LIB_SHOWKIT_H

#include "ctl/show.h"

#define NOW_2026	1790000000LL	/* 2026-09-21T14:13:20Z */

/* An empty output at that time, without colour; width 0: no bound. */
struct out	 showkit_out(bool json, unsigned int width);
/*
 * Appends the status of a master, a worker and this many tailnets; refused is
 * what the server says of the policy's file, NULL: nothing.  The text is the
 * caller's to free.
 */
void		 showkit_status(struct out *, unsigned int tailnets,
		    const char *refused);

#endif
