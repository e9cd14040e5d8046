/*
 * What is printed: tables of text that fit the terminal, and JSON.  Text from
 * peers is made harmless on its way into either.
 */

#ifndef CTL_OUT_H
#define CTL_OUT_H

#include "common/buf.h"
#include "common/json.h"

struct out {
	struct buf	 text;		/* all of it, until it is written */
	struct buf	 err;		/* the same of standard error */
	bool		 json;
	bool		 verbose;	/* status: counters, too */
	bool		 colour;
	unsigned int	 width;		/* columns; 0: no limit */
	int64_t		 now;		/* Unix seconds */
};

/* Appends what vis(3) makes of a peer's text. */
void	out_vis(struct buf *, struct slice);
/* "never", "in 29d", "5m ago": a time against now; the largest unit. */
void	out_when(struct buf *, int64_t at, int64_t now);
/* "2026-11-21", or "-" for none. */
void	out_date(struct buf *, int64_t at);
/* A number of seconds as its largest unit: "3h". */
void	out_span(struct buf *, uint64_t seconds);

/* A member with an RFC 3339 time, or null for 0. */
void	out_json_time(struct json *, const char *key, int64_t at);
/* A member with a number, or a boolean. */
void	out_json_u64(struct json *, const char *key, uint64_t);
void	out_json_bool(struct json *, const char *key, bool);
/* A member with a string. */
void	out_json_str(struct json *, const char *key, struct slice);
/*
 * Appends JSON with line breaks and indentation, control characters that a
 * terminal may act on escaped, and a newline.
 */
void	out_pretty(struct buf *, struct slice json);

#define TABLE_COLUMNS	12

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD };

struct column {
	const char	*title;
	unsigned int	 rank;		/* the highest goes first when it is
					 * narrow; 0: always stays */
	bool		 right;		/* numbers */
};

struct table;

/* columns: n <= TABLE_COLUMNS of them, which must outlive it.  Never NULL. */
struct table	*table_new(const struct column *, unsigned int n);
void		 table_free(struct table *);
/*
 * The cell to be filled next, in the order of the columns; ends the one
 * before.  Its text is what is appended to the buffer.
 */
struct buf	*table_cell(struct table *, enum colour);
size_t		 table_rows(const struct table *);
/* Appends it to o->text: titles, then rows; nothing if there are none. */
void		 table_print(struct table *, struct out *);

#endif
