/* Configurations from text, for tests; the text is the file "c". */

#ifndef REGRESS_LIB_CONFKIT_H
#define REGRESS_LIB_CONFKIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "master/conf.h"

/* A text and what is said when it is refused. */
struct confkit_row {
	const char	*text;
	const char	*why;
};

/* The macros and files of all texts from here on; NULL: none, as at first. */
void		 confkit_env(const struct scan_env *);
/* In the folder /etc/x with 4 cores.  The test fails if it is refused. */
struct conf	*confkit_good(const char *text);
/* The same in this folder with one core. */
struct conf	*confkit_in(const char *dir, const char *text);
/* Each of n texts is refused with its message. */
void		 confkit_refused(const struct confkit_row *, size_t n);
/* The text is taken with this one warning, or, if NULL, with none. */
void		 confkit_warns(const char *text, const char *warning);
/* From a to the text: a reload (why NULL), or the reason why it is none. */
void		 confkit_reload(const struct conf *a, const char *text,
		    const char *why);

#endif
