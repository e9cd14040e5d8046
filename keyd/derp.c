#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/log.h"
#include "common/noise.h"
#include "keyd/derp.h"

/* Clients read no further version than this (derp.md 2.3). */
#define ANSWER		"{\"version\":2}"

#define NONCE_RANDOM	8
#define NONCE_MAC	(DERP_NONCE - NONCE_RANDOM)
#define LABEL		"headscaled derp nonce 1"

#define SEEN_MARK	16		/* octets that stand for a login */
#define SEEN_MIN	256
#define SEEN_US		(3600 * US_PER_S)

/* Logins of one age: open addressing, a zero mark is an empty place. */
struct seen {
	uint8_t		(*mark)[SEEN_MARK];
	size_t		 cap;		/* a power of two, or 0 */
	size_t		 n;
	uint64_t	 since;
};

struct derp_keys {
	uint8_t		 priv[DERP_KEY];
	uint8_t		 nonce[DERP_KEY];	/* makes the nonces' MACs */
	uint8_t		 shared[DERP_KEY];	/* of the login under way */
};

struct derp {
	struct env	*env;
	struct secret	*secret;
	uint8_t		 public[DERP_KEY];
	uint8_t		 seed[DERP_KEY];	/* of marks */
	size_t		 max;			/* of an age */
	struct seen	 age[2];		/* the newer, the older */
};

static struct derp_keys *
keys(struct derp *d)
{
	return (struct derp_keys *)(void *)secret_data(d->secret);
}

struct derp *
derp_new(struct env *env, struct secret *key, size_t max)
{
	struct derp_keys *k;
	struct derp *d;

	d = xcalloc(1, sizeof(*d));
	d->env = env;
	d->max = max;
	d->secret = secret_new(sizeof(*k));
	k = keys(d);
	memcpy(k->priv, secret_data(key), DERP_KEY);
	secret_free(key);
	if (sodium_is_zero(k->priv, DERP_KEY)) {
		derp_free(d);
		return NULL;
	}
	noise_public(d->public, k->priv);
	/*
	 * From the key itself: another start of ours must know the nonces of
	 * this one.
	 */
	(void)crypto_generichash(k->nonce, DERP_KEY,
	    (const unsigned char *)LABEL, sizeof(LABEL) - 1, k->priv,
	    DERP_KEY);
	env_random(env, d->seed, sizeof(d->seed));
	d->age[0].since = env_now(env);
	return d;
}

void
derp_free(struct derp *d)
{
	if (d == NULL)
		return;
	free(d->age[0].mark);
	free(d->age[1].mark);
	secret_free(d->secret);
	free(d);
}

const uint8_t *
derp_public(const struct derp *d)
{
	return d->public;
}

/* The part of our nonces that nobody else can make. */
static void
nonce_mac(struct derp *d, const uint8_t random[NONCE_RANDOM],
    const uint8_t client[DERP_KEY], uint8_t mac[NONCE_MAC])
{
	uint8_t in[NONCE_RANDOM + DERP_KEY];

	memcpy(in, random, NONCE_RANDOM);
	memcpy(in + NONCE_RANDOM, client, DERP_KEY);
	(void)crypto_generichash(mac, NONCE_MAC, in, sizeof(in),
	    keys(d)->nonce, DERP_KEY);
}

static bool
is_ours(struct derp *d, const uint8_t nonce[DERP_NONCE],
    const uint8_t client[DERP_KEY])
{
	uint8_t mac[NONCE_MAC];

	nonce_mac(d, nonce, client, mac);
	return sodium_memcmp(mac, nonce + NONCE_RANDOM, NONCE_MAC) == 0;
}

/* Keyed, as clients choose what goes in.  Never zero. */
static void
mark_of(const struct derp *d, const uint8_t client[DERP_KEY],
    const uint8_t nonce[DERP_NONCE], uint8_t mark[SEEN_MARK])
{
	uint8_t in[DERP_KEY + DERP_NONCE];

	memcpy(in, client, DERP_KEY);
	memcpy(in + DERP_KEY, nonce, DERP_NONCE);
	(void)crypto_generichash(mark, SEEN_MARK, in, sizeof(in), d->seed,
	    sizeof(d->seed));
	mark[0] |= 1;
}

/* Where the mark is, or where it would be put. */
static uint8_t *
seen_place(const struct seen *s, const uint8_t mark[SEEN_MARK])
{
	size_t i;
	uint64_t h;

	memcpy(&h, mark + 1, sizeof(h));
	for (i = (size_t)h & (s->cap - 1); s->mark[i][0] != 0;
	    i = (i + 1) & (s->cap - 1))
		if (memcmp(s->mark[i], mark, SEEN_MARK) == 0)
			break;
	return s->mark[i];
}

static bool
seen_has(const struct seen *s, const uint8_t mark[SEEN_MARK])
{
	return s->cap != 0 && seen_place(s, mark)[0] != 0;
}

static void
seen_grow(struct seen *s)
{
	struct seen was = *s;
	size_t i;

	s->cap = was.cap == 0 ? SEEN_MIN : 2 * was.cap;
	s->mark = xcalloc(s->cap, SEEN_MARK);
	for (i = 0; i < was.cap; i++)
		if (was.mark[i][0] != 0)
			memcpy(seen_place(s, was.mark[i]), was.mark[i],
			    SEEN_MARK);
	free(was.mark);
}

/* What is older than an hour, or too much, is forgotten by halves. */
static void
seen_age(struct derp *d)
{
	uint64_t now = env_now(d->env);

	if (d->age[0].n < d->max && now < d->age[0].since + SEEN_US)
		return;
	free(d->age[1].mark);
	d->age[1] = d->age[0];
	memset(&d->age[0], 0, sizeof(d->age[0]));
	d->age[0].since = now;
}

static void
seen_put(struct derp *d, const uint8_t mark[SEEN_MARK])
{
	struct seen *s = &d->age[0];

	if (s->n >= s->cap / 2)
		seen_grow(s);
	memcpy(seen_place(s, mark), mark, SEEN_MARK);
	s->n++;
}

static void
answer(struct derp *d, const uint8_t client[DERP_KEY], struct derp_answer *a)
{
	size_t n = sizeof(ANSWER) - 1;

	env_random(d->env, a->nonce, NONCE_RANDOM);
	nonce_mac(d, a->nonce, client, a->nonce + NONCE_RANDOM);
	(void)crypto_box_easy_afternm(a->box, (const unsigned char *)ANSWER, n,
	    a->nonce, keys(d)->shared);
	a->nbox = n + DERP_TAG;
}

enum derp_refusal
derp_login(struct derp *d, const uint8_t client[DERP_KEY],
    const uint8_t nonce[DERP_NONCE], const uint8_t *box, size_t n,
    uint8_t *info, struct derp_answer *a)
{
	enum derp_refusal why = DERP_REFUSED_NOT;
	uint8_t mark[SEEN_MARK];

	if (is_ours(d, nonce, client))
		return DERP_REFUSED_OURS;
	if (crypto_box_beforenm(keys(d)->shared, client, keys(d)->priv) == -1)
		return DERP_REFUSED_KEY;
	seen_age(d);
	mark_of(d, client, nonce, mark);
	if (n < DERP_TAG || n > DERP_TAG + DERP_INFO_MAX ||
	    crypto_box_open_easy_afternm(info, box, n, nonce,
	    keys(d)->shared) == -1)
		why = DERP_REFUSED_BOX;
	else if (seen_has(&d->age[0], mark) || seen_has(&d->age[1], mark))
		why = DERP_REFUSED_AGAIN;
	else {
		seen_put(d, mark);
		answer(d, client, a);
	}
	wipe(keys(d)->shared, DERP_KEY);
	return why;
}
