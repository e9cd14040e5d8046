/*
 * HuJSON: JSON with comments and one trailing comma (policy.md 1).  The tree
 * knows where each value and member stands in the text.
 */

#ifndef DBD_POLICY_HUJSON_H
#define DBD_POLICY_HUJSON_H

#include "common/buf.h"
#include "dbd/policy/ast.h"

enum hj_kind {
	HJ_NULL, HJ_BOOL, HJ_NUMBER, HJ_STRING, HJ_ARRAY, HJ_OBJECT
};

/* Lives in the arena; text without escapes points into what was read. */
struct hj {
	enum hj_kind	 kind;
	bool		 truth;		/* HJ_BOOL */
	uint32_t	 count;		/* elements or members */
	uint32_t	 index;		/* its place in the parent */
	struct pos	 pos;
	struct slice	 text;		/* string, or number as written */
	struct slice	 name;		/* of a member */
	struct pos	 name_pos;
	struct hj	*parent;
	struct hj	*first, *last;	/* children */
	struct hj	*next;		/* sibling */
};

#define HJ_DEPTH_MAX	60		/* levels of objects and arrays */

/*
 * Reads a text that outlives the tree.  Names are unique in each object,
 * strings are UTF-8 without U+0000.  NULL if it is no HuJSON; then err has
 * "hujson: line L, column C: ..." and *pos the place.  Time grows with
 * n log n at worst, memory linearly.
 */
struct hj	*hj_read(struct arena *, struct slice text, struct buf *err,
		    struct pos *pos);
/* Appends a value as standard JSON, members in their order. */
void		 hj_json(struct buf *, const struct hj *);
/* "a string", "an object" ...: what a value is, for messages. */
const char	*hj_kind_name(enum hj_kind);
/* Appends where in the tree a value is: "/acls/0/dst/1", "" for the root. */
void		 hj_path(struct buf *, const struct hj *);

#endif
