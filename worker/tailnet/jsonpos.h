/* Where in a JSON text a value stands, for error messages with a line. */

#ifndef WORKER_TAILNET_JSONPOS_H
#define WORKER_TAILNET_JSONPOS_H

#include <stddef.h>

#include "common/str.h"

/*
 * The text must be one that json_read() took.  at is the offset of a value;
 * what is not found yields the offset of the value itself.
 */

/* Offset of the text's value. */
size_t		 jsonpos_root(struct slice text);
/* Offset of element k of the array at an offset. */
size_t		 jsonpos_elem(struct slice text, size_t at, size_t k);
/*
 * Offset of a member's value in the object at an offset; the last member of
 * the name if there are several, without regard to case.
 */
size_t		 jsonpos_member(struct slice text, size_t at,
		    struct slice name);
/* The line (from 1) of an offset. */
unsigned int	 jsonpos_line(struct slice text, size_t at);

#endif
