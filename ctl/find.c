#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/compat/compat.h"
#include "ctl/find.h"
#include "ctl/grammar.h"
#include "ctl/out.h"

#define SHOWN	5
#define ID	"id:"
#define ID_LEN	(sizeof(ID) - 1)

struct hit {
	uint64_t	 id;
	struct buf	 name;		/* vis, NUL */
};

struct hits {
	struct hit	 hit[SHOWN];
	unsigned int	 n;		/* of all, also those not kept */
};

struct find {
	enum find_kind	 kind;
	bool		 whole;
	const char	*text;
	size_t		 len;
	bool		 id_only;
	uint64_t	 number;	/* 0: text is none */
	struct hit	 by_id;
	struct hit	 exact;
	struct hits	 fold;		/* but for upper and lower case */
	struct hits	 prefix;
	struct hit	 near;
	unsigned int	 distance;
	const struct hit *found;
};

struct find *
find_new(enum find_kind kind, const char *text, bool whole)
{
	const char *why;
	struct find *f;

	f = xcalloc(1, sizeof(*f));
	f->kind = kind;
	f->whole = whole;
	f->text = text;
	f->len = strlen(text);
	f->number = (uint64_t)strtonum(strncmp(text, ID, ID_LEN) == 0 ?
	    text + ID_LEN : text, 1, INT64_MAX, &why);
	f->id_only = f->number != 0 && strncmp(text, ID, ID_LEN) == 0;
	f->distance = UINT32_MAX;
	return f;
}

void
find_free(struct find *f)
{
	unsigned int i;

	if (f == NULL)
		return;
	buf_free(&f->by_id.name);
	buf_free(&f->exact.name);
	for (i = 0; i < SHOWN; i++) {
		buf_free(&f->fold.hit[i].name);
		buf_free(&f->prefix.hit[i].name);
	}
	buf_free(&f->near.name);
	free(f);
}

static void
keep(struct hit *h, uint64_t id, struct slice name)
{
	h->id = id;
	buf_clear(&h->name);
	out_vis(&h->name, name);
	buf_u8(&h->name, 0);
}

static void
keep_more(struct hits *h, uint64_t id, struct slice name)
{
	if (h->n++ < SHOWN)
		keep(&h->hit[h->n - 1], id, name);
}

/* Of a key the whole secret may have been given. */
static bool
is_exact(const struct find *f, struct slice name)
{
	if (name.n == f->len)
		return memcmp(name.p, f->text, f->len) == 0;
	return f->kind == FIND_KEY && name.n > 0 && f->len > name.n &&
	    memcmp(f->text, name.p, name.n) == 0;
}

static bool
begins(const struct find *f, struct slice name)
{
	return f->len > 0 && name.n >= f->len &&
	    strncasecmp(name.p, f->text, f->len) == 0;
}

void
find_row(struct find *f, uint64_t id, struct slice name)
{
	char text[256];
	unsigned int d;

	if (id == f->number)
		keep(&f->by_id, id, name);
	if (is_exact(f, name))
		keep(&f->exact, id, name);
	else if (f->id_only)
		return;
	else if (begins(f, name))
		keep_more(name.n == f->len ? &f->fold : &f->prefix, id, name);
	if (f->kind == FIND_KEY || !slice_copy(text, sizeof(text), name) ||
	    !word_near(f->text, text))
		return;
	if ((d = word_distance(f->text, text)) < f->distance) {
		f->distance = d;
		keep(&f->near, id, name);
	}
}

static const char *
kind_name(const struct find *f)
{
	static const char *const name[] = { "user", "node", "key" };

	return name[f->kind];
}

static void
say_many(const struct find *f, const struct hits *h, char *why, size_t n)
{
	struct buf b = { NULL, 0, 0 };
	unsigned int i;

	buf_printf(&b, "%s: which %s:", f->text, kind_name(f));
	for (i = 0; i < h->n && i < SHOWN; i++)
		buf_printf(&b, "%s %s (" ID "%llu)", i == 0 ? "" : ",",
		    (const char *)h->hit[i].name.p,
		    (unsigned long long)h->hit[i].id);
	buf_str(&b, h->n > SHOWN ? " ...?" : "?");
	buf_u8(&b, 0);
	(void)strlcpy(why, (const char *)b.p, n);
	buf_free(&b);
}

/* A number is the id of one and the name of another. */
static bool
is_both(const struct find *f)
{
	return f->by_id.id != 0 && f->exact.id != 0 &&
	    f->by_id.id != f->exact.id && !f->id_only;
}

static void
say_both(const struct find *f, char *why, size_t n)
{
	(void)snprintf(why, n, "%s: which %s: " ID "%llu (%s), or " ID
	    "%llu (whose name it is)?", f->text, kind_name(f),
	    (unsigned long long)f->by_id.id, (const char *)f->by_id.name.p,
	    (unsigned long long)f->exact.id);
}

/* The only one that is like it, where that is enough: or NULL. */
static const struct hit *
the_only(const struct find *f)
{
	const struct hits *h = f->fold.n > 0 ? &f->fold : &f->prefix;

	return h->n == 1 && !f->whole ? &h->hit[0] : NULL;
}

static void
say_none(const struct find *f, char *why, size_t n)
{
	const struct hits *h = f->fold.n > 0 ? &f->fold : &f->prefix;

	if (f->id_only && f->exact.id != 0)
		(void)snprintf(why, n, "%s: no such %s; " ID "%llu has this "
		    "name", f->text, kind_name(f),
		    (unsigned long long)f->exact.id);
	else if (h->n > 1)
		say_many(f, h, why, n);
	else if (h->n == 1)
		(void)snprintf(why, n, "%s: no such %s; if %s is meant, say so"
		    ": with -y only %s will do", f->text, kind_name(f),
		    (const char *)h->hit[0].name.p, h == &f->fold ?
		    "an exact name" : "a whole name");
	else if (f->near.id != 0)
		(void)snprintf(why, n, "%s: no such %s; did you mean %s?",
		    f->text, kind_name(f), (const char *)f->near.name.p);
	else
		(void)snprintf(why, n, "%s: no such %s", f->text,
		    kind_name(f));
}

int
find_result(struct find *f, uint64_t *id, char *why, size_t n)
{
	f->found = NULL;
	if (is_both(f)) {
		say_both(f, why, n);
		return -1;
	}
	f->found = f->by_id.id != 0 ? &f->by_id : f->id_only ? NULL :
	    f->exact.id != 0 ? &f->exact : the_only(f);
	if (f->found == NULL) {
		say_none(f, why, n);
		return -1;
	}
	*id = f->found->id;
	return 0;
}

const char *
find_name(const struct find *f)
{
	return f->found == NULL ? "" : (const char *)f->found->name.p;
}
