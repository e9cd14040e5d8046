/*
 * Noise_IK_25519_ChaChaPoly_BLAKE2s as protocol.md 1.5 has it: what keyd, the
 * worker and test clients share.  No function touches a clock or entropy:
 * keys come from the caller.
 */

#ifndef COMMON_NOISE_H
#define COMMON_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOISE_KEY	32	/* all keys, hashes and DH results */
#define NOISE_TAG	16
#define NOISE_HEAD	3	/* type, u16 length */
#define NOISE_INIT	101	/* initiation, version included */
#define NOISE_RESP	51
#define NOISE_RECORD	4096	/* longest record, header included */
#define NOISE_PLAIN	4077	/* longest plaintext of a record */

enum noise_frame {
	NOISE_T_INIT = 1,
	NOISE_T_RESP = 2,
	NOISE_T_ERROR = 3,
	NOISE_T_RECORD = 4
};

/*
 * Fetches the algorithms and checks them.  Once in a process, before rights
 * are taken away; again is fine.  0, or -1 if the libraries lack one.
 */
int		 noise_init(void);

/* Scratch contexts of the libraries.  One a thread is enough for all keys. */
struct noise;

/* After noise_init().  Never NULL. */
struct noise	*noise_new(void);
/* Wipes and frees; NULL is fine. */
void		 noise_free(struct noise *);

/* Makes 32 random octets a private key (protocol.md 9.1). */
void		 noise_clamp(uint8_t priv[NOISE_KEY]);
void		 noise_public(uint8_t pub[NOISE_KEY],
		    const uint8_t priv[NOISE_KEY]);
/* X25519; false, and out is zero, for points of low order. */
bool		 noise_dh(uint8_t out[NOISE_KEY], const uint8_t priv[NOISE_KEY],
		    const uint8_t pub[NOISE_KEY]);

/*
 * The symmetric state of a handshake.  The fields may be read (h after the
 * response is the channel binding); noise_sym_wipe() when done.
 */
struct noise_sym {
	struct noise	*noise;
	uint8_t		 h[NOISE_KEY];
	uint8_t		 ck[NOISE_KEY];
	uint8_t		 k[NOISE_KEY];
};

/*
 * h and ck from the protocol's name, then the prologue of this version and
 * the responder's static key (IK's pre-message) are mixed in.
 */
void		 noise_sym_init(struct noise_sym *, struct noise *,
		    uint16_t version, const uint8_t server_pub[NOISE_KEY]);
void		 noise_mix_hash(struct noise_sym *, const void *, size_t);
/* ck, k = HKDF(ck, dh). */
void		 noise_mix_key(struct noise_sym *, const uint8_t dh[NOISE_KEY]);
/*
 * Encrypts n octets (0: p may be NULL) under k into n + NOISE_TAG octets and
 * mixes these in.  Each k once only.
 */
void		 noise_encrypt_hash(struct noise_sym *, uint8_t *out,
		    const void *p, size_t n);
/*
 * Opens n octets (tag included) into n - NOISE_TAG and mixes the n in; false
 * if they are forged or short: the state is then of no use.
 */
bool		 noise_decrypt_hash(struct noise_sym *, uint8_t *out,
		    const void *p, size_t n);
/* The two record keys: client to server, server to client. */
void		 noise_split(struct noise_sym *, uint8_t c2s[NOISE_KEY],
		    uint8_t s2c[NOISE_KEY]);
void		 noise_sym_wipe(struct noise_sym *);

/* One direction's record cipher: a value that its owner wipes. */
struct noise_key {
	uint8_t		 key[NOISE_KEY];
	uint64_t	 next;		/* nonce of the next record */
	bool		 dead;
};

/* next: nonce of the first record to come. */
void		 noise_key_set(struct noise_key *, const uint8_t key[NOISE_KEY],
		    uint64_t next);
void		 noise_key_wipe(struct noise_key *);
/*
 * Seals n <= NOISE_PLAIN octets as one record of n + NOISE_HEAD + NOISE_TAG
 * octets at out; p may be out + NOISE_HEAD, but overlap in no other way.
 * Returns the record's length, or 0 when the nonces have run out (dead).
 */
size_t		 noise_seal(struct noise *, struct noise_key *, uint8_t *out,
		    const void *p, size_t n);
/*
 * Opens one whole record of n octets, header included; plain has room for
 * NOISE_PLAIN, or is record + NOISE_HEAD.  Returns the plaintext's length, or
 * -1 if it is not a record, too long or forged: the direction is dead then
 * and stays so.
 */
int		 noise_open(struct noise *, struct noise_key *, uint8_t *plain,
		    const uint8_t *record, size_t n);
/*
 * How long the record is that begins with these 3 octets; 0 if it is none
 * or its length is out of bounds.
 */
size_t		 noise_record_len(const uint8_t head[NOISE_HEAD]);

#endif
