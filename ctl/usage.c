/* Usage, from the same tables. */

#include <string.h>

#include "ctl/grammar_int.h"

#define COLUMN	34

static void
usage_options(struct buf *out, const struct option *o)
{
	size_t at;

	for (; o != NULL && o->name != NULL; o++) {
		at = out->n;
		buf_str(out, "      ");
		if (o->letter != '\0')
			buf_printf(out, "-%c, ", o->letter);
		else
			buf_str(out, "    ");
		buf_printf(out, "--%s", o->name);
		if (o->value != NULL)
			buf_printf(out, " %s", o->value);
		do
			buf_u8(out, ' ');
		while (out->n - at < COLUMN);
		buf_printf(out, "%s\n", o->help);
	}
}

/* One command with what follows its last keyword. */
static void
usage_line(struct buf *out, const char *words, const struct token *t)
{
	const struct token *next;
	size_t at = out->n;

	buf_printf(out, "  %s%s", words, t->word);
	for (next = t->next; next != NULL && (next->kind == T_ARG ||
	    next->kind == T_REST || next->kind == T_MORE); next = next->next)
		buf_printf(out, " %s", next->word);
	if (t->opts != NULL)
		buf_str(out, " [options]");
	do
		buf_u8(out, ' ');
	while (out->n - at < COLUMN);
	buf_printf(out, "%s\n", t->help);
	usage_options(out, t->opts);
}

/* Commands below a table; only those that the words lead to. */
static bool
usage_table(struct buf *out, const struct token *t, const char *words,
    int argc, char **argv)
{
	struct buf deeper = { NULL, 0, 0 };
	bool any = false;

	for (; t->kind != T_END; t++) {
		if (t->kind != T_WORD || t->hidden || (argc > 0 &&
		    strncmp(t->word, argv[0], strlen(argv[0])) != 0))
			continue;
		if (t->next->kind != T_WORD) {
			usage_line(out, words, t);
			any = true;
			continue;
		}
		buf_clear(&deeper);
		buf_printf(&deeper, "%s%s ", words, t->word);
		buf_u8(&deeper, 0);
		any |= usage_table(out, t->next, (const char *)deeper.p,
		    argc > 0 ? argc - 1 : 0, argc > 0 ? argv + 1 : argv);
	}
	buf_free(&deeper);
	return any;
}

bool
grammar_usage(struct buf *out, int argc, char **argv)
{
	int n = 0;

	/* Keywords come first; what follows them is for somebody else. */
	while (n < argc && n < 2 && argv[n][0] != '-')
		n++;
	buf_str(out, "usage: headscalectl [-jy] [-s socket] command ...\n");
	if (!usage_table(out, grammar_main(), "", n, argv))
		return false;
	buf_str(out, "options of all commands:\n");
	usage_options(out, grammar_global());
	return true;
}

static const char *
name_in(const struct token *t, enum act act, struct buf *words)
{
	size_t at = words->n;

	for (; t != NULL && t->kind != T_END; t++) {
		if (t->kind != T_WORD)
			continue;
		buf_printf(words, "%s%s", at == 0 ? "" : " ", t->word);
		if (t->act == act)
			return "";
		if (t->next->kind == T_WORD &&
		    name_in(t->next, act, words) != NULL)
			return "";
		words->n = at;
	}
	return NULL;
}

const char *
grammar_name(enum act act)
{
	static char name[64];
	struct buf words = { NULL, 0, 0 };

	if (act == A_NONE || name_in(grammar_main(), act, &words) == NULL)
		return "?";
	(void)slice_copy(name, sizeof(name), buf_slice_of(&words));
	buf_free(&words);
	return name;
}
