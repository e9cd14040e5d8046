/* One end of a link, whose other end is the test. */

#ifndef REGRESS_LIB_LINKKIT_H
#define REGRESS_LIB_LINKKIT_H

#include "common/buf.h"
#include "common/link.h"
#include "common/msg_int.h"

struct lk_world {
	struct env	*env;
	uint64_t	 now;
	unsigned int	 ends;		/* of the process */
	char		 log[512];	/* the last line */
	unsigned int	 lines;
};

#define MAX_SENT	600

/* One end with what it sent, what it got and what became of it. */
struct lk_side {
	struct lk_world	*w;
	struct link	*l;
	struct {
		uint32_t	 type, id;
		size_t		 n;
		int		 fd;
	}		 sent[MAX_SENT];
	unsigned int	 nsent;
	struct buf	 last;		/* body sent last */
	size_t		 queued;
	unsigned int	 closed;
	unsigned int	 got;		/* messages */
	uint32_t	 got_type, got_id;
	void		*got_tag;
	int		 got_fd;
	unsigned int	 down;
	enum link_why	 why;
	unsigned int	 orphans;
	uint32_t	 orphan_id[8];
	void		*orphan_tag[8];
	void		(*handler)(struct lk_side *, const struct msg *);
	bool		 free_on_down;
};

/* A clock that stands still, and the log.  Never NULL. */
struct lk_world	*lk_world_new(void);
/* Of cmocka: *state is the world, which is freed. */
int		 lk_teardown(void **state);
/* The next process. */
void		 lk_renew(struct lk_world *);

/* A link in service, of slot 3 and generation 17. */
void		 lk_new(struct lk_world *, struct lk_side *, enum msg_link,
		    enum role self, enum role peer, size_t queue_max);
/* One as it is after link_new(); handlers are filled in. */
void		 lk_new_conf(struct lk_world *, struct lk_side *,
		    struct link_conf *);
/* Frees it; it must not be told of this, and closes its transport once. */
void		 lk_free(struct lk_side *);

/* A body for the type, whole; the caller frees. */
struct buf	 lk_body(enum msg_type);
/* The link is given a message with such a body; fd is -1 for none. */
void		 lk_input(struct lk_side *, enum msg_type, uint32_t id, int fd);
/* The link is down for this, and was before anything else was said. */
void		 lk_went(struct lk_side *, enum link_why);
/* A superior did it: we end, and the link's owner is not asked. */
void		 lk_ended(struct lk_side *);

#endif
