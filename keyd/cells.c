#include <stdlib.h>

#include "common/secret.h"
#include "common/str.h"
#include "keyd/cells.h"

#define CHUNK	4096

/*
 * The list of free cells stands outside of the locked pages: a free cell
 * holds nothing but zeroes.
 */
struct cells {
	size_t		  size;
	size_t		  per;		/* cells of a chunk */
	struct secret	**chunk;
	size_t		  nchunk;
	uint8_t		**idle;		/* room for all cells */
	size_t		  nidle;
	size_t		  used;
};

struct cells *
cells_new(size_t size)
{
	struct cells *c;

	c = xcalloc(1, sizeof(*c));
	c->size = size;
	c->per = CHUNK / size;
	return c;
}

void
cells_free(struct cells *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nchunk; i++)
		secret_free(c->chunk[i]);
	free(c->chunk);
	free(c->idle);
	free(c);
}

static void
grow(struct cells *c)
{
	uint8_t *p;
	size_t i;

	c->chunk = xrealloc(c->chunk, c->nchunk + 1, sizeof(c->chunk[0]));
	c->chunk[c->nchunk] = secret_new(c->per * c->size);
	p = secret_data(c->chunk[c->nchunk++]);
	c->idle = xrealloc(c->idle, c->nchunk * c->per, sizeof(c->idle[0]));
	for (i = 0; i < c->per; i++)
		c->idle[c->nidle++] = p + i * c->size;
}

uint8_t *
cells_get(struct cells *c)
{
	if (c->nidle == 0)
		grow(c);
	c->used++;
	return c->idle[--c->nidle];
}

void
cells_put(struct cells *c, uint8_t *p)
{
	if (p == NULL)
		return;
	wipe(p, c->size);
	c->idle[c->nidle++] = p;
	c->used--;
}

size_t
cells_used(const struct cells *c)
{
	return c->used;
}
