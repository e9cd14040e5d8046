#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/compat/compat.h"
#include "common/str.h"
#include "master/conf_scan.h"

#define FILES_MAX	64

enum tok {
	T_END, T_WORD, T_STRING, T_EQUAL, T_OPEN, T_CLOSE, T_COMMA, T_LPAREN,
	T_RPAREN
};

struct scan {
	const struct scan_env	*env;
	struct buf		 text;
	struct scan_item	*items;
	size_t			 n;
	char			*files[FILES_MAX];
	unsigned int		 nfiles;
	unsigned int		 includes;	/* depth */
	bool			 failed;
	char			*why;
	size_t			 whylen;
};

/* One file being read; value is the text of the last word or string. */
struct lex {
	struct scan	*s;
	const char	*p;
	const char	*end;
	unsigned int	 file;
	unsigned int	 line;
	unsigned int	 at;		/* line where the token began */
	enum tok	 tok;
	char		 value[SCAN_VALUE_MAX + 1];
	size_t		 len;
};

static void	items(struct lex *, long, unsigned int);

static void __attribute__((__format__(printf, 3, 4)))
fail(struct lex *l, unsigned int line, const char *fmt, ...)
{
	struct scan *s = l->s;
	char text[256];
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(s->why, s->whylen, "%s:%u: %s", s->files[l->file], line,
	    text);
}

bool
scan_name_ok(const char *p, size_t n)
{
	size_t i;

	if (n == 0 || n > 64 || isdigit((unsigned char)p[0]))
		return false;
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && p[i] != '_')
			return false;
	return true;
}

/* Steps over white space and comments. */
static void
skip(struct lex *l)
{
	unsigned int begin;

	while (l->p < l->end) {
		if (*l->p == '\n')
			l->line++;
		if (*l->p == '#' || (*l->p == '/' && l->end - l->p > 1 &&
		    l->p[1] == '/')) {
			while (l->p < l->end && *l->p != '\n')
				l->p++;
		} else if (*l->p == '/' && l->end - l->p > 1 &&
		    l->p[1] == '*') {
			begin = l->line;
			for (l->p += 2; l->end - l->p > 1 &&
			    (l->p[0] != '*' || l->p[1] != '/'); l->p++)
				if (*l->p == '\n')
					l->line++;
			if (l->end - l->p < 2) {
				fail(l, begin, "comment is not closed");
				return;
			}
			l->p += 2;
		} else if (strchr(" \t\r\n", *l->p) != NULL)
			l->p++;
		else
			return;
	}
}

static void
add(struct lex *l, char c)
{
	if (l->len == SCAN_VALUE_MAX)
		fail(l, l->at, "value is longer than %d octets",
		    SCAN_VALUE_MAX);
	else if ((unsigned char)c < ' ' || c == 0x7f)
		fail(l, l->at, "control character in a value");
	else
		l->value[l->len++] = c;
}

static void
string(struct lex *l, char quote)
{
	for (l->p++; !l->s->failed; l->p++) {
		if (l->p == l->end || *l->p == '\n') {
			fail(l, l->at, "string is not closed");
			return;
		}
		if (*l->p == quote) {
			l->p++;
			return;
		}
		if (*l->p == '\\') {
			l->p++;
			if (l->p == l->end || (*l->p != '\\' && *l->p != '"' &&
			    *l->p != '\'')) {
				fail(l, l->at, "only \\\\, \\\" and \\' may be "
				    "escaped in a string");
				return;
			}
		} else if (quote == '"' && *l->p == '$' && l->end - l->p > 1 &&
		    l->p[1] == '{') {
			fail(l, l->at, "environment variables are not "
			    "expanded: use -D name=value and $name");
			return;
		}
		add(l, *l->p);
	}
}

/* $name stands for a whole value, as in bgpd.conf(5). */
static void
macro(struct lex *l)
{
	const struct scan_env *env = l->s->env;
	const char *name = ++l->p;
	size_t i, n;

	while (l->p < l->end && (isalnum((unsigned char)*l->p) ||
	    *l->p == '_'))
		l->p++;
	n = (size_t)(l->p - name);
	if (l->p < l->end && n == 0 && *l->p == '{') {
		fail(l, l->at, "environment variables are not expanded: use "
		    "-D name=value and $name");
		return;
	}
	for (i = 0; i < env->nmacros; i++)
		if (strlen(env->macros[i].name) == n &&
		    memcmp(env->macros[i].name, name, n) == 0) {
			name = env->macros[i].value;
			if (!utf8_ok(name, strlen(name)))
				fail(l, l->at, "macro is not UTF-8");
			for (; *name != '\0' && !l->s->failed; name++)
				add(l, *name);
			return;
		}
	fail(l, l->at, "macro $%.*s is not defined", n > 64 ? 64 : (int)n,
	    name);
}

static void
word(struct lex *l)
{
	while (l->p < l->end && (isalnum((unsigned char)*l->p) ||
	    strchr("_.:/-", *l->p) != NULL)) {
		if (*l->p == '/' && l->end - l->p > 1 &&
		    (l->p[1] == '/' || l->p[1] == '*')) {
			fail(l, l->at, "put this value in quotes");
			return;
		}
		add(l, *l->p++);
	}
	if (l->p < l->end && strchr(" \t\r\n={}(),", *l->p) == NULL)
		fail(l, l->at, "put this value in quotes");
}

static void
next(struct lex *l)
{
	static const char marks[] = "={},()";
	static const enum tok toks[] = {
		T_EQUAL, T_OPEN, T_CLOSE, T_COMMA, T_LPAREN, T_RPAREN
	};
	const char *m;

	l->len = 0;
	l->tok = T_END;
	if (!l->s->failed)
		skip(l);
	l->at = l->line;
	if (l->s->failed || l->p == l->end)
		return;
	if ((m = memchr(marks, *l->p, sizeof(marks) - 1)) != NULL) {
		l->tok = toks[m - marks];
		l->p++;
	} else if (*l->p == '"' || *l->p == '\'') {
		l->tok = T_STRING;
		string(l, *l->p);
	} else if (*l->p == '$') {
		l->tok = T_STRING;
		macro(l);
	} else if (isalnum((unsigned char)*l->p) ||
	    strchr("_.:/-", *l->p) != NULL) {
		l->tok = T_WORD;
		word(l);
	} else if (*l->p == '+')
		fail(l, l->line, "+= is not supported: write the list once");
	else
		fail(l, l->line, "unexpected character '%c'", *l->p);
	l->value[l->len] = '\0';
	if (l->s->failed)
		l->tok = T_END;
}

/* What the token is called in a message. */
static const char *
shown(const struct lex *l)
{
	switch (l->tok) {
	case T_END:
		return "end of file";
	case T_EQUAL:
		return "'='";
	case T_OPEN:
		return "'{'";
	case T_CLOSE:
		return "'}'";
	case T_COMMA:
		return "','";
	case T_LPAREN:
		return "'('";
	case T_RPAREN:
		return "')'";
	default:
		return "a value";
	}
}

/* Single quotes: the only form in which libconfuse expands nothing. */
static void
quote(struct buf *b, const char *value)
{
	buf_u8(b, '\'');
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '\'')
			buf_u8(b, '\\');
		buf_u8(b, (uint8_t)*value);
	}
	buf_u8(b, '\'');
}

/* Adds an item of the section parent; -1 if there are too many. */
static long
item(struct lex *l, enum scan_kind kind, long parent, const char *name,
    unsigned int line)
{
	struct scan *s = l->s;
	struct scan_item *it;
	unsigned int count = 0;
	struct buf b = { 0 };
	size_t i;

	if (s->n == SCAN_ITEMS_MAX) {
		fail(l, line, "more than %d items", SCAN_ITEMS_MAX);
		return -1;
	}
	if (s->n % 64 == 0)
		s->items = xrealloc(s->items, s->n + 64, sizeof(*s->items));
	it = &s->items[s->n];
	memset(it, 0, sizeof(*it));
	it->kind = kind;
	it->parent = parent;
	it->file = l->file;
	it->line = line;
	for (i = 0; kind == SCAN_SECTION && i < s->n; i++)
		if (s->items[i].kind == SCAN_SECTION &&
		    s->items[i].parent == parent &&
		    strlen(name) == s->items[i].name_len &&
		    memcmp(s->items[i].name, name, s->items[i].name_len) == 0)
			count++;
	if (parent != -1)
		buf_printf(&b, "%s|", s->items[parent].path);
	i = b.n;
	buf_str(&b, name);
	it->name_len = b.n - i;
	if (kind == SCAN_SECTION)
		buf_printf(&b, "[%u]", count);
	buf_u8(&b, '\0');
	it->path = xstrdup((const char *)b.p);
	it->name = it->path + i;
	buf_free(&b);
	return (long)s->n++;
}

/* The same key, or the same section, a second time within its section. */
static void
refuse_twice(struct lex *l, long self)
{
	const struct scan_item *it = &l->s->items[self], *o;
	char other[160] = "";
	long i;

	for (i = 0; i < self && !l->s->failed; i++) {
		o = &l->s->items[i];
		if (o->kind == SCAN_CLOSE || o->parent != it->parent ||
		    o->name_len != it->name_len ||
		    memcmp(o->name, it->name, it->name_len) != 0)
			continue;
		if (o->file != it->file)
			(void)snprintf(other, sizeof(other), "%.150s:",
			    l->s->files[o->file]);
		else
			(void)snprintf(other, sizeof(other), "line ");
		if (it->kind != SCAN_SECTION || o->kind != SCAN_SECTION)
			fail(l, it->line, "%.*s is given twice, first in %s%u",
			    (int)it->name_len, it->name, other, o->line);
		else if (it->value == NULL || o->value == NULL)
			fail(l, it->line, "section %.*s is given twice, first "
			    "in %s%u", (int)it->name_len, it->name, other,
			    o->line);
		else if (strcmp(it->value, o->value) == 0)
			fail(l, it->line, "section %.*s \"%s\" is given "
			    "twice, first in %s%u", (int)it->name_len, it->name,
			    it->value, other, o->line);
	}
}

static void
list(struct lex *l, struct buf *out, const char *name)
{
	unsigned int begin = l->at;
	bool some = false;

	buf_str(out, "{");
	for (next(l); l->tok != T_CLOSE; next(l)) {
		if (l->tok != T_STRING && l->tok != T_WORD) {
			fail(l, l->tok == T_END ? begin : l->at,
			    l->tok == T_END ? "list %s is not closed" :
			    "list %s: a value is expected here", name);
			return;
		}
		if (l->len == 0) {
			fail(l, l->at, "%s: empty value", name);
			return;
		}
		if (some)
			buf_str(out, ", ");
		some = true;
		quote(out, l->value);
		next(l);
		if (l->tok == T_CLOSE)
			break;
		if (l->tok != T_COMMA) {
			fail(l, l->tok == T_END ? begin : l->at,
			    l->tok == T_END ? "list %s is not closed" :
			    "list %s: a comma is missing", name);
			return;
		}
	}
	buf_str(out, "}");
}

/* name = ... */
static void
assign(struct lex *l, long parent, const char *name, unsigned int line)
{
	struct scan *s = l->s;
	long self;

	next(l);
	if (l->tok == T_OPEN) {
		if ((self = item(l, SCAN_LIST, parent, name, line)) == -1)
			return;
		refuse_twice(l, self);
		buf_printf(&s->text, "%s = ", name);
		list(l, &s->text, name);
	} else if (l->tok == T_STRING || l->tok == T_WORD) {
		if (l->len == 0) {
			fail(l, l->at, "%s: empty value", name);
			return;
		}
		if ((self = item(l, SCAN_SCALAR, parent, name, line)) == -1)
			return;
		refuse_twice(l, self);
		s->items[self].value = xstrdup(l->value);
		buf_printf(&s->text, "%s = ", name);
		quote(&s->text, l->value);
	} else {
		fail(l, line, "%s: a value is expected, not %s", name,
		    shown(l));
		return;
	}
	buf_str(&s->text, "\n");
	next(l);
}

/* name {, or name "title" { with the title as the current token. */
static void
section(struct lex *l, long parent, const char *name, unsigned int line,
    unsigned int depth)
{
	struct scan *s = l->s;
	long self;

	if (depth == SCAN_DEPTH_MAX) {
		fail(l, line, "sections are nested too deeply");
		return;
	}
	if ((self = item(l, SCAN_SECTION, parent, name, line)) == -1)
		return;
	buf_str(&s->text, name);
	if (l->tok != T_OPEN) {
		if (l->len == 0) {
			fail(l, l->at, "section %s: empty title", name);
			return;
		}
		s->items[self].value = xstrdup(l->value);
		buf_str(&s->text, " ");
		quote(&s->text, l->value);
		next(l);
	}
	if (l->tok != T_OPEN) {
		fail(l, line, "%s: '=' or '{' is missing", name);
		return;
	}
	refuse_twice(l, self);
	buf_str(&s->text, " {\n");
	next(l);
	items(l, self, depth + 1);
	if (s->failed)
		return;
	if (l->tok != T_CLOSE) {
		fail(l, line, "section %s is not closed", name);
		return;
	}
	if (item(l, SCAN_CLOSE, self, "", l->at) == -1)
		return;
	buf_str(&s->text, "}\n");
	next(l);
}

static void
scan_one(struct scan *s, char *name, const char *p, size_t n)
{
	struct lex *l;
	size_t i;

	l = xcalloc(1, sizeof(*l));
	l->s = s;
	l->p = p;
	l->end = p + n;
	l->line = 1;
	l->file = s->nfiles;
	s->files[s->nfiles++] = name;
	for (i = 0; i < n; i++) {
		if (((unsigned char)p[i] < ' ' &&
		    strchr("\t\r\n", p[i]) == NULL) || p[i] == 0x7f ||
		    p[i] == '\0') {
			fail(l, l->line, "control character");
			break;
		}
		if (p[i] == '\n')
			l->line++;
	}
	if (!s->failed && n != 0 && !utf8_ok(p, n))
		fail(l, 1, "the file is not UTF-8");
	l->line = 1;
	next(l);
	items(l, -1, 0);
	if (!s->failed && l->tok == T_CLOSE)
		fail(l, l->at, "'}' closes nothing");
	free(l);
}

/* include("file"), with the parenthesis as the current token. */
static void
include(struct lex *l, long parent, unsigned int line)
{
	struct scan *s = l->s;
	char why[256] = "", *text, *full = NULL;
	size_t n;

	next(l);
	if (l->tok != T_STRING || l->len == 0) {
		fail(l, line, "include wants (\"file\")");
		return;
	}
	if (parent != -1) {
		fail(l, line, "include stands outside of sections only");
		return;
	}
	if (s->includes == SCAN_DEPTH_MAX || s->nfiles == FILES_MAX) {
		fail(l, line, "too many files include one another");
		return;
	}
	if (s->env->read == NULL) {
		fail(l, line, "nothing can be included here");
		return;
	}
	text = s->env->read(l->value, s->files[l->file], &full, &n, why,
	    sizeof(why), s->env->arg);
	if (text == NULL) {
		fail(l, line, "include: %s", why);
		return;
	}
	s->includes++;
	scan_one(s, full, text, n);
	s->includes--;
	free(text);
	next(l);
	if (l->tok != T_RPAREN)
		fail(l, line, "include wants (\"file\")");
	next(l);
}

/* Until the section's '}' or the end of the file, whichever is there. */
static void
items(struct lex *l, long parent, unsigned int depth)
{
	char name[65];
	unsigned int line;

	while (!l->s->failed && l->tok != T_CLOSE && l->tok != T_END) {
		line = l->at;
		if (l->tok != T_WORD || !scan_name_ok(l->value, l->len)) {
			fail(l, line, "the name of a key or section is "
			    "expected here");
			return;
		}
		(void)strlcpy(name, l->value, sizeof(name));
		next(l);
		if (l->s->failed)
			return;
		if (l->tok == T_EQUAL)
			assign(l, parent, name, line);
		else if (l->tok == T_LPAREN && strcmp(name, "include") == 0)
			include(l, parent, line);
		else if (l->tok == T_OPEN || l->tok == T_STRING ||
		    (l->tok == T_WORD && l->at == line))
			section(l, parent, name, line, depth);
		else
			fail(l, line, "%s: '=' or '{' is missing", name);
	}
}

struct scan *
scan_new(const char *name, const char *p, size_t n, const struct scan_env *env,
    char *why, size_t whylen)
{
	struct scan *s;

	s = xcalloc(1, sizeof(*s));
	s->env = env;
	s->why = why;
	s->whylen = whylen;
	scan_one(s, xstrdup(name), p, n);
	buf_u8(&s->text, '\0');
	s->env = NULL;
	s->why = NULL;
	if (!s->failed)
		return s;
	scan_free(s);
	return NULL;
}

void
scan_free(struct scan *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++) {
		free(s->items[i].path);
		free(s->items[i].value);
	}
	for (i = 0; i < s->nfiles; i++)
		free(s->files[i]);
	free(s->items);
	buf_free(&s->text);
	free(s);
}

const char *
scan_text(const struct scan *s)
{
	return (const char *)s->text.p;
}

size_t
scan_count(const struct scan *s)
{
	return s->n;
}

const struct scan_item *
scan_at(const struct scan *s, size_t i)
{
	return i < s->n ? &s->items[i] : NULL;
}

const struct scan_item *
scan_find(const struct scan *s, const char *path)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->items[i].kind != SCAN_CLOSE &&
		    strcmp(s->items[i].path, path) == 0)
			return &s->items[i];
	return NULL;
}

const char *
scan_file(const struct scan *s, const struct scan_item *it)
{
	return s->files[it->file];
}

void
scan_where(const struct scan *s, const char *path, char *dst, size_t n)
{
	const struct scan_item *it;
	char up[256], *bar;

	(void)strlcpy(up, path, sizeof(up));
	while ((it = scan_find(s, up)) == NULL &&
	    (bar = strrchr(up, '|')) != NULL)
		*bar = '\0';
	if (it != NULL)
		(void)snprintf(dst, n, "%s:%u", scan_file(s, it), it->line);
	else
		(void)snprintf(dst, n, "%s:1", s->files[0]);
}
