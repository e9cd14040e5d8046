/* Many small secrets of one size on few locked pages. */

#ifndef KEYD_CELLS_H
#define KEYD_CELLS_H

#include <stddef.h>
#include <stdint.h>

struct cells;

/* For secrets of size octets, 1 to 4096.  Never NULL. */
struct cells	*cells_new(size_t size);
/* Wipes all, handed out or not.  NULL is fine. */
void		 cells_free(struct cells *);
/* A zeroed cell; memory running out ends the process. */
uint8_t		*cells_get(struct cells *);
/* Wipes it and takes it back.  NULL is fine. */
void		 cells_put(struct cells *, uint8_t *);
/* How many are handed out. */
size_t		 cells_used(const struct cells *);

#endif
