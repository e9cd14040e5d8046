/* Small things that all of master uses. */

#ifndef MASTER_UTIL_H
#define MASTER_UTIL_H

/* Elements of an array. */
#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

#endif
