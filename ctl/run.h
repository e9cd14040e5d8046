/* Does what a command says. */

#ifndef CTL_RUN_H
#define CTL_RUN_H

#include "ctl/grammar.h"
#include "ctl/out.h"

struct run_conf {
	const char	*socket;
	/*
	 * Asks a question that is answered by yes or no; NULL: there is
	 * nobody to ask.
	 */
	bool		(*confirm)(const char *question, void *arg);
	void		*arg;
};

#define RUN_OK		0
#define RUN_FAILED	1
#define RUN_USAGE	2

/*
 * The exit status, with a text in why if it is not RUN_OK.  What is to be
 * printed is appended to o->text.
 */
int	run_command(const struct command *, const struct run_conf *,
	    struct out *, char *why, size_t whylen);

#endif
