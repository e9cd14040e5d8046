/* The relay's side of HTTP: /derp and what belongs to it (derp.md 1, 5, 8). */

#ifndef WORKER_CONTROL_DERP_INT_H
#define WORKER_CONTROL_DERP_INT_H

#include "worker/control/control_int.h"

/* The relay is made, if it is not there, and stays. */
void	derphttp_make(struct control *);
/* What it is to do; the relay is made if it is not there. */
void	derphttp_conf(struct control *, const struct r_relay *);
/* Ends all of it, before net is freed: frees the relay after it. */
void	derphttp_free(struct control *);
/* dbd has come or gone: what was asked of it is answered 503. */
void	derphttp_db_link(struct control *, struct link *);
/* verify.c: who may ask, of route; none: everybody. */
void	verify_conf(struct control *, struct msg_list from);
void	verify_end(struct control *);
/* DB_NODE_KEY_OK; tag is what link_request() was given. */
void	verify_answer(void *tag, bool allow);
/* The client of a request with TAG_VERIFY has gone. */
void	verify_gone(void *tag);

/* certs.c: the certificate that keyd made (KEY_CERT). */
void	certs_self(struct control *, const struct m_key_cert *);
/* Puts what is not in files into the set; it may be a new one. */
void	certs_more(struct control *);
void	certs_free(struct control *);

/* derpsrc.c: from what the DERP map is made. */
void	derpsrc_init(struct control *);
void	derpsrc_free(struct control *);
/* Our region in it is this one. */
void	derpsrc_region(struct control *, const struct r_relay *);
/* Messages of dbd; -1 if they make no sense (a superior's fault). */
int	derpsrc_part(struct control *, const struct m_db_derpmap_part *);
void	derpsrc_avoid(struct control *, const struct m_db_derp_avoid *);
/* A new link to dbd, which is told of all relays in it. */
void	derpsrc_db_link(struct control *);

/* acme.c: the certificate that is had by ACME, and its challenges. */
void	acme_init(struct control *);
void	acme_end(struct control *);
int	acme_challenge(struct control *, const struct msg *);
void	acme_cert(struct control *, const struct m_db_cert *);
/* A new link to dbd: challenges of before are over. */
void	acme_db_link(struct control *);
/* There is a certificate, or the challenge of one. */
bool	acme_has(const struct control *);
/* Puts certificate and challenges into the set. */
void	acme_more(struct control *);
/* RFC 8555 8.3. */
void	get_challenge(struct control *, struct req *);

/* Requests, by path. */
void	get_derp(struct control *, struct req *);
void	get_probe(struct control *, struct req *);
void	get_generate_204(struct control *, struct req *);
void	get_bootstrap_dns(struct control *, struct req *);
void	post_verify(struct control *, struct req *);

#endif
