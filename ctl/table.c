#include <stdlib.h>
#include <string.h>

#include "ctl/out.h"

#define GAP	2
#define CUT	8		/* no cell is cut shorter */

struct cell {
	size_t		 at;		/* in text */
	size_t		 n;
	enum colour	 colour;
};

struct table {
	const struct column	*column;
	unsigned int		 ncolumns;
	struct cell		*cell;
	size_t			 ncells;
	size_t			 cap;
	struct buf		 text;
	size_t			 width[TABLE_COLUMNS];
	bool			 gone[TABLE_COLUMNS];
};

struct table *
table_new(const struct column *column, unsigned int n)
{
	struct table *t;

	t = xcalloc(1, sizeof(*t));
	t->column = column;
	t->ncolumns = n;
	return t;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	buf_free(&t->text);
	free(t->cell);
	free(t);
}

static void
end_cell(struct table *t)
{
	if (t->ncells > 0 && t->cell[t->ncells - 1].n == 0)
		t->cell[t->ncells - 1].n = t->text.n -
		    t->cell[t->ncells - 1].at;
}

struct buf *
table_cell(struct table *t, enum colour colour)
{
	end_cell(t);
	if (t->ncells == t->cap) {
		t->cap = t->cap == 0 ? 256 : t->cap * 2;
		t->cell = xrealloc(t->cell, t->cap, sizeof(t->cell[0]));
	}
	memset(&t->cell[t->ncells], 0, sizeof(t->cell[0]));
	t->cell[t->ncells].at = t->text.n;
	t->cell[t->ncells++].colour = colour;
	return &t->text;
}

size_t
table_rows(const struct table *t)
{
	return t->ncells / t->ncolumns;
}

static size_t
total(const struct table *t)
{
	unsigned int i;
	size_t sum = 0;

	for (i = 0; i < t->ncolumns; i++)
		if (!t->gone[i])
			sum += t->width[i] + (sum == 0 ? 0 : GAP);
	return sum;
}

static void
measure(struct table *t)
{
	unsigned int i;
	size_t k;

	for (i = 0; i < t->ncolumns; i++)
		t->width[i] = strlen(t->column[i].title);
	for (k = 0; k < t->ncells; k++) {
		i = (unsigned int)(k % t->ncolumns);
		if (t->cell[k].n > t->width[i])
			t->width[i] = t->cell[k].n;
	}
}

static unsigned int
widest(const struct table *t)
{
	unsigned int i, at = t->ncolumns;

	for (i = 0; i < t->ncolumns; i++)
		if (!t->gone[i] && (at == t->ncolumns ||
		    t->width[i] > t->width[at]))
			at = i;
	return at;
}

/* The least useful columns go until the rest fits; then the widest is cut. */
static void
fit(struct table *t, unsigned int width)
{
	unsigned int i, worst;

	while (width > 0 && total(t) > width) {
		worst = t->ncolumns;
		for (i = 0; i < t->ncolumns; i++)
			if (!t->gone[i] && t->column[i].rank > 0 &&
			    (worst == t->ncolumns || t->column[i].rank >
			    t->column[worst].rank))
				worst = i;
		if (worst == t->ncolumns)
			break;
		t->gone[worst] = true;
	}
	while (width > 0 && total(t) > width && t->width[widest(t)] > CUT)
		t->width[widest(t)]--;
}

static void
pad(struct buf *b, size_t n)
{
	while (n-- > 0)
		buf_u8(b, ' ');
}

/* A cell in its width; the last one of a line is not padded. */
static void
put(struct table *t, struct buf *b, unsigned int i, struct slice s, bool last)
{
	size_t width = t->width[i];
	bool cut = s.n > width;

	if (cut)
		s.n = width - 1;
	if (t->column[i].right)
		pad(b, width - s.n - cut);
	buf_slice(b, s);
	if (cut)
		buf_u8(b, '>');
	if (!t->column[i].right && !last)
		pad(b, width - s.n - cut);
}

static unsigned int
last_column(const struct table *t)
{
	unsigned int i, last = 0;

	for (i = 0; i < t->ncolumns; i++)
		if (!t->gone[i])
			last = i;
	return last;
}

static void
put_titles(struct table *t, struct out *o)
{
	unsigned int i, last = last_column(t);

	if (o->colour)
		buf_str(&o->text, "\033[1m");
	for (i = 0; i <= last; i++) {
		if (t->gone[i])
			continue;
		put(t, &o->text, i, slice_str(t->column[i].title), i == last);
		if (i != last)
			pad(&o->text, GAP);
	}
	if (o->colour)
		buf_str(&o->text, "\033[0m");
	buf_u8(&o->text, '\n');
}

static void
put_row(struct table *t, struct out *o, const struct cell *row)
{
	static const char *const on[] = {
		[COLOUR_GOOD] = "\033[32m", [COLOUR_BAD] = "\033[31m"
	};
	unsigned int i, last = last_column(t);
	const struct cell *c;
	bool colour;

	for (i = 0; i <= last; i++) {
		if (t->gone[i])
			continue;
		c = &row[i];
		colour = o->colour && c->colour != COLOUR_NONE;
		if (colour)
			buf_str(&o->text, on[c->colour]);
		put(t, &o->text, i, slice_mem(t->text.p + c->at, c->n),
		    i == last);
		if (colour)
			buf_str(&o->text, "\033[0m");
		if (i != last)
			pad(&o->text, GAP);
	}
	buf_u8(&o->text, '\n');
}

void
table_print(struct table *t, struct out *o)
{
	size_t k;

	end_cell(t);
	if (t->ncells == 0)
		return;
	measure(t);
	fit(t, o->width);
	put_titles(t, o);
	for (k = 0; k + t->ncolumns <= t->ncells; k += t->ncolumns)
		put_row(t, o, &t->cell[k]);
}
