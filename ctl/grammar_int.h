/* The tables behind the grammar. */

#ifndef CTL_GRAMMAR_INT_H
#define CTL_GRAMMAR_INT_H

#include "ctl/grammar.h"

enum tok {
	T_END,			/* of the table */
	T_WORD,			/* a keyword */
	T_ARG,			/* any word */
	T_REST,			/* any number of words, to the end */
	T_MORE,			/* one or more words, and options */
	T_DONE			/* the line may end here */
};

struct option {
	const char	*name;		/* NULL: end of the table */
	char		 letter;	/* 0: none */
	enum arg	 arg;		/* ARG_NONE: a flag */
	unsigned int	 flag;
	const char	*value;		/* for the usage */
	const char	*help;
};

struct token {
	enum tok	 kind;
	const char	*word;		/* T_ARG: for the usage */
	const char	*help;
	enum act	 act;		/* set when it is passed */
	enum arg	 arg;
	bool		 hidden;
	const struct token *next;
	const struct option *opts;	/* allowed from here on */
};

const struct token	*grammar_main(void);
const struct option	*grammar_global(void);

#endif
