/*
 * Lists of addresses as JSON: the sources of a rule, in the order of
 * policy.md 5.2.  A list is encoded once and shared by all who are told of
 * the rule (state.md 7).
 */

#ifndef WORKER_TAILNET_SRCSET_INT_H
#define WORKER_TAILNET_SRCSET_INT_H

#include "common/ip.h"
#include "common/siphash.h"
#include "worker/tailnet/pack_int.h"

struct src_hash {
	uint64_t	 v;
};

/*
 * Octets as a number that is theirs alone, for all that matters here.  Clients
 * choose some of them: the key is a secret of the process, so that nobody
 * finds others with the same number, which would not be told.
 */
struct src_hash	 src_hash(const uint8_t key[SIPHASH_KEY], const void *,
		    size_t n);
bool		 src_hash_eq(struct src_hash, struct src_hash);

/* Text that is shared.  Immutable and counted. */
struct srctext {
	uint32_t	 refs;
	uint32_t	 members;	/* of the list */
	struct src_hash	 hash;
	struct frame	*frame;		/* NULL until it is asked for */
	struct buf	 text;
};

/* Takes the buffer's octets; one reference.  The key as above. */
struct srctext	*srctext_new(const uint8_t key[SIPHASH_KEY], struct buf *,
		    uint32_t members);
struct srctext	*srctext_ref(struct srctext *);
/* NULL is fine. */
void		 srctext_unref(struct srctext *);
/* Compressed, made when it is first asked for; borrowed. */
struct frame	*srctext_frame(struct srctext *, struct pack *);
/* Equal in content. */
bool		 srctext_eq(const struct srctext *, const struct srctext *);

/* An address on its way into a list. */
struct src_item {
	uint64_t	 key;		/* sorts like the text that it stands
					 * for, from some octet on */
	uint32_t	 at;		/* of the text, or the address */
};

struct src_items {
	struct src_item	*v;
	size_t		 n;
	size_t		 cap;
};

/* Zeroed is empty. */
struct srcset {
	struct src_items ip4;
	struct src_items text;		/* all others */
	struct buf	 octets;	/* their texts: length, then text */
	uint8_t		 rank[256];	/* decimal texts in their order */
	bool		 ready;		/* rank is */
};

void	 srcset_free(struct srcset *);
/* Empties it and keeps the memory. */
void	 srcset_clear(struct srcset *);
/* Family 0: nothing. */
void	 srcset_ip(struct srcset *, const struct ip *);
/* At most 255 octets, of those that addresses and ranges are written with. */
void	 srcset_text(struct srcset *, struct slice);
/*
 * Appends what is in the set, ascending as octets, each between before and
 * after and with commas between; once, however often it was added, if
 * distinct.  Returns how many that were.  O(n) for addresses.
 */
uint32_t srcset_put(struct srcset *, bool distinct, struct slice before,
	    struct slice after, struct buf *);

#endif
