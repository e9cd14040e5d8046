#include <stdio.h>
#include <string.h>

#include "common/compat/compat.h"
#include "ctl/grammar_int.h"

#define WORD_MAX	64

struct parser {
	struct command		*cmd;
	const struct token	*at;	/* table that is to be matched next */
	const struct option	*opts;
	struct buf		 path;	/* words so far, for messages */
	char			*why;
	size_t			 whylen;
};

/* Optimal string alignment over three rows. */
unsigned int
word_distance(const char *a, const char *b)
{
	unsigned int row[3][WORD_MAX + 1], *cur, *old, *older;
	size_t na = strlen(a), nb = strlen(b), i, j;
	unsigned int d;

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= nb; j++)
		row[0][j] = (unsigned int)j;
	for (i = 1; i <= na; i++) {
		cur = row[i % 3];
		old = row[(i - 1) % 3];
		older = row[(i + 1) % 3];
		cur[0] = (unsigned int)i;
		for (j = 1; j <= nb; j++) {
			d = old[j - 1] + (a[i - 1] != b[j - 1]);
			if (old[j] + 1 < d)
				d = old[j] + 1;
			if (cur[j - 1] + 1 < d)
				d = cur[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && older[j - 2] + 1 < d)
				d = older[j - 2] + 1;
			cur[j] = d;
		}
	}
	return row[na % 3][nb];
}

bool
word_near(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n > 1 && word_distance(a, b) <= (n < 5 ? 1 : n < 9 ? 2 : 3);
}

static struct slice
path(const struct parser *p)
{
	return buf_slice_of(&p->path);
}

static void
path_add(struct parser *p, const char *word)
{
	if (p->path.n > 0)
		buf_u8(&p->path, ' ');
	buf_str(&p->path, word);
}

/* "users: " or nothing: what the text is about. */
static void
about(struct parser *p, struct buf *b)
{
	if (p->path.n == 0)
		return;
	buf_slice(b, path(p));
	buf_str(b, ": ");
}

/* Moves a text into why. */
static int
say(struct parser *p, struct buf *text)
{
	buf_u8(text, 0);
	(void)strlcpy(p->why, (const char *)text->p, p->whylen);
	buf_free(text);
	return -1;
}

/* Keywords of a table in a row: "add, list or rename". */
static void
list_words(struct buf *b, const struct token *t, const char *prefix)
{
	const char *word[16];
	size_t n = 0, i;

	for (; t->kind != T_END; t++)
		if (!t->hidden && t->kind != T_DONE && n < 16 &&
		    strncmp(t->word, prefix, strlen(prefix)) == 0)
			word[n++] = t->word;
	for (i = 0; i < n; i++)
		buf_printf(b, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ",
		    word[i]);
}

static int
unknown_word(struct parser *p, const char *word)
{
	const struct token *t, *best = NULL;
	unsigned int d, least = WORD_MAX;
	struct buf b = { NULL, 0, 0 };

	about(p, &b);
	if (p->at->kind == T_DONE)
		buf_printf(&b, "nothing more is expected: %s", word);
	else
		buf_printf(&b, "no such command: %s", word);
	for (t = p->at; t->kind != T_END; t++) {
		if (t->kind != T_WORD || t->hidden)
			continue;
		d = word_distance(word, t->word);
		if (d < least && word_near(word, t->word)) {
			least = d;
			best = t;
		}
	}
	if (best != NULL)
		buf_printf(&b, "; did you mean %s?", best->word);
	else if (p->at->kind == T_WORD) {
		buf_str(&b, "; there is ");
		list_words(&b, p->at, "");
	}
	return say(p, &b);
}

static int
ambiguous(struct parser *p, const char *word)
{
	struct buf b = { NULL, 0, 0 };

	about(p, &b);
	buf_printf(&b, "%s may be ", word);
	list_words(&b, p->at, word);
	return say(p, &b);
}

static void
pass(struct parser *p, const struct token *t)
{
	if (t->act != A_NONE)
		p->cmd->act = t->act;
	if (t->opts != NULL)
		p->opts = t->opts;
	if (t->kind == T_WORD)
		path_add(p, t->word);
	p->at = t->next;
}

static int
match_word(struct parser *p, const char *word)
{
	const struct token *t, *found = NULL;
	size_t n = strlen(word);
	unsigned int hits = 0;

	for (t = p->at; t->kind != T_END; t++) {
		if (t->kind == T_ARG) {
			p->cmd->arg[t->arg] = word;
			pass(p, t);
			return 0;
		}
		if (t->kind != T_WORD)
			continue;
		if (strcmp(t->word, word) == 0) {
			pass(p, t);
			return 0;
		}
		if (n > 0 && !t->hidden && strncmp(t->word, word, n) == 0) {
			found = t;
			hits++;
		}
	}
	if (hits > 1)
		return ambiguous(p, word);
	if (found == NULL)
		return unknown_word(p, word);
	pass(p, found);
	return 0;
}

/* Options. */

static int
bad_option(struct parser *p, const char *what, const char *name, size_t n)
{
	struct buf b = { NULL, 0, 0 };

	about(p, &b);
	buf_printf(&b, "%s: %.*s", what, (int)n, name);
	return say(p, &b);
}

static void
near_option(const struct option *o, const char *name,
    const struct option **best, unsigned int *least)
{
	unsigned int d;

	for (; o != NULL && o->name != NULL; o++) {
		d = word_distance(name, o->name);
		if (d < *least && word_near(name, o->name)) {
			*least = d;
			*best = o;
		}
	}
}

static int
unknown_option(struct parser *p, const char *name, size_t n)
{
	const struct option *best = NULL;
	unsigned int least = WORD_MAX;
	struct buf b = { NULL, 0, 0 };
	char text[WORD_MAX];

	about(p, &b);
	buf_printf(&b, "no such option: --%.*s", (int)n, name);
	if (n < sizeof(text)) {
		memcpy(text, name, n);
		text[n] = '\0';
		near_option(p->opts, text, &best, &least);
		near_option(grammar_global(), text, &best, &least);
	}
	if (best != NULL)
		buf_printf(&b, "; did you mean --%s?", best->name);
	return say(p, &b);
}

/* 1 exact, else counts those that begin so in *hits. */
static int
seek_long(const struct option *o, const char *name, size_t n,
    const struct option **found, unsigned int *hits)
{
	for (; o != NULL && o->name != NULL; o++) {
		if (strncmp(o->name, name, n) != 0)
			continue;
		*found = o;
		if (o->name[n] == '\0')
			return 1;
		(*hits)++;
	}
	return 0;
}

/* Returns how many words it took, 1 or 2, or -1. */
static int
take_value(struct parser *p, const struct option *o, const char *value,
    int argc, char **argv)
{
	if (o->arg == ARG_NONE) {
		p->cmd->flags |= o->flag;
		return 1;
	}
	if (value != NULL) {
		p->cmd->arg[o->arg] = value;
		return 1;
	}
	if (argc < 2)
		return bad_option(p, "a value must follow", argv[0],
		    strlen(argv[0]));
	p->cmd->arg[o->arg] = argv[1];
	return 2;
}

static int
long_option(struct parser *p, int argc, char **argv)
{
	const struct option *found = NULL;
	const char *name = argv[0] + 2, *value;
	unsigned int hits = 0;
	size_t n;

	value = strchr(name, '=');
	n = value == NULL ? strlen(name) : (size_t)(value - name);
	if (!seek_long(p->opts, name, n, &found, &hits) &&
	    !seek_long(grammar_global(), name, n, &found, &hits) &&
	    hits > 1)
		return bad_option(p, "may be several options", argv[0], n + 2);
	if (found == NULL)
		return unknown_option(p, name, n);
	if (value != NULL && found->arg == ARG_NONE)
		return bad_option(p, "takes no value", argv[0], n + 2);
	return take_value(p, found, value == NULL ? NULL : value + 1, argc,
	    argv);
}

static const struct option *
seek_letter(const struct option *o, char c)
{
	for (; o != NULL && o->name != NULL; o++)
		if (o->letter == c)
			return o;
	return NULL;
}

static int
short_options(struct parser *p, int argc, char **argv)
{
	const struct option *o;
	const char *c;

	for (c = argv[0] + 1; *c != '\0'; c++) {
		if ((o = seek_letter(p->opts, *c)) == NULL &&
		    (o = seek_letter(grammar_global(), *c)) == NULL)
			return bad_option(p, "no such option", argv[0],
			    strlen(argv[0]));
		if (o->arg != ARG_NONE)
			return take_value(p, o, c[1] == '\0' ? NULL : c + 1,
			    argc, argv);
		p->cmd->flags |= o->flag;
	}
	return 1;
}

/* The line is at its end: may it be? */
static int
finish(struct parser *p)
{
	const struct token *t;
	struct buf b = { NULL, 0, 0 };

	if (p->cmd->flags & F_HELP)
		return 0;
	for (t = p->at; t->kind != T_END; t++)
		if (t->kind == T_DONE || t->kind == T_REST ||
		    (t->kind == T_MORE && p->cmd->restc > 0))
			return 0;
	about(p, &b);
	buf_str(&b, "must be followed by ");
	if (p->path.n == 0) {
		buf_clear(&b);
		buf_str(&b, "a command is missing: ");
	}
	list_words(&b, p->at, "");
	return say(p, &b);
}

/* Words move together: what is between them has been read. */
static void
take_more(struct parser *p, char **argv)
{
	if (p->cmd->restc == 0)
		p->cmd->rest = argv;
	p->cmd->rest[p->cmd->restc++] = argv[0];
}

static int
walk(struct parser *p, int argc, char **argv)
{
	bool opts = true;
	int n;

	for (; argc > 0; argc -= n, argv += n) {
		n = 1;
		if (p->at->kind == T_REST)
			break;
		if (opts && strcmp(argv[0], "--") == 0) {
			opts = false;
			continue;
		}
		if (opts && strncmp(argv[0], "--", 2) == 0)
			n = long_option(p, argc, argv);
		else if (opts && argv[0][0] == '-' && argv[0][1] != '\0')
			n = short_options(p, argc, argv);
		else if (p->at->kind == T_MORE)
			take_more(p, argv);
		else if (match_word(p, argv[0]) == -1)
			n = -1;
		if (n == -1)
			return -1;
	}
	if (p->at->kind != T_MORE) {
		p->cmd->restc = argc;
		p->cmd->rest = argv;
	}
	return 0;
}

static void
parser_init(struct parser *p, struct command *cmd, char *why, size_t whylen)
{
	memset(cmd, 0, sizeof(*cmd));
	memset(p, 0, sizeof(*p));
	p->cmd = cmd;
	p->at = grammar_main();
	p->why = why;
	p->whylen = whylen;
}

int
grammar_parse(struct command *cmd, int argc, char **argv, char *why,
    size_t whylen)
{
	struct parser p;
	int rc;

	parser_init(&p, cmd, why, whylen);
	if ((rc = walk(&p, argc, argv)) == 0)
		rc = finish(&p);
	if (rc == 0 && (cmd->flags & F_HELP) != 0) {
		cmd->restc = argc;	/* help shows what stands here */
		cmd->rest = argv;
	}
	buf_free(&p.path);
	return rc;
}

/* Completion. */

static void
complete_options(struct buf *out, const struct option *o, const char *part)
{
	for (; o != NULL && o->name != NULL; o++)
		if (strncmp(o->name, part, strlen(part)) == 0)
			buf_printf(out, "--%s\t%s\n", o->name, o->help);
}

/* The option before the word waits for a value: which? */
static enum arg
value_of(const struct parser *p, const char *before)
{
	const struct option *found = NULL;
	unsigned int hits = 0;

	if (strncmp(before, "--", 2) == 0 && strchr(before, '=') == NULL) {
		if (seek_long(p->opts, before + 2, strlen(before + 2), &found,
		    &hits) || seek_long(grammar_global(), before + 2,
		    strlen(before + 2), &found, &hits))
			return found->arg;
	} else if (before[0] == '-' && before[1] != '\0' &&
	    before[2] == '\0') {
		if ((found = seek_letter(p->opts, before[1])) == NULL)
			found = seek_letter(grammar_global(), before[1]);
		return found == NULL ? ARG_NONE : found->arg;
	}
	return ARG_NONE;
}

static enum arg
complete_last(struct parser *p, struct buf *out, const char *part)
{
	const struct token *t;

	if (strncmp(part, "-", 1) == 0) {
		part += strspn(part, "-");
		complete_options(out, p->opts, part);
		complete_options(out, grammar_global(), part);
		return ARG_NONE;
	}
	for (t = p->at; t->kind != T_END; t++) {
		if (t->kind == T_ARG)
			return t->arg;
		if (t->kind == T_WORD && !t->hidden &&
		    strncmp(t->word, part, strlen(part)) == 0)
			buf_printf(out, "%s\t%s\n", t->word,
			    t->help == NULL ? "" : t->help);
	}
	return ARG_NONE;
}

enum arg
grammar_complete(struct buf *out, int argc, char **argv)
{
	struct command cmd;
	struct parser p;
	enum arg arg = ARG_NONE;
	char why[256];
	int n = argc - 1;

	if (argc < 1)
		return ARG_NONE;
	parser_init(&p, &cmd, why, sizeof(why));
	/* All before the last word and before an option that lacks a value. */
	if (n > 0 && argv[n - 1][0] == '-') {
		if (walk(&p, n - 1, argv) == 0)
			arg = value_of(&p, argv[n - 1]);
		if (arg == ARG_NONE) {
			buf_free(&p.path);
			parser_init(&p, &cmd, why, sizeof(why));
		}
	}
	if (arg == ARG_NONE && walk(&p, n, argv) == 0)
		arg = complete_last(&p, out, argv[n]);
	buf_free(&p.path);
	return arg;
}
