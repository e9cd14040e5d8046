/* The relay's side of HTTP: /derp and what belongs to it (derp.md 1, 5, 8). */

#ifndef WORKER_CONTROL_DERP_INT_H
#define WORKER_CONTROL_DERP_INT_H

#include "worker/control/control_int.h"

/* The relay is made with the first configuration, and stays. */
void	derphttp_conf(struct control *, const struct r_relay *);
/* Ends all of it, before net is freed: frees the relay after it. */
void	derphttp_free(struct control *);
/* dbd has come or gone: what was asked of it is answered 503. */
void	derphttp_db_link(struct control *, struct link *);
/* DB_NODE_KEY_OK; tag is what link_request() was given. */
void	verify_answer(void *tag, bool allow);
/* The client of a request with TAG_VERIFY has gone. */
void	verify_gone(void *tag);

/* certs.c: the certificate that keyd made (KEY_CERT). */
void	certs_self(struct control *, const struct m_key_cert *);
/* Our region in the DERP map is this one. */
void	certs_region(struct control *, const struct r_relay *);
void	certs_free(struct control *);

/* Requests, by path. */
void	get_derp(struct control *, struct req *);
void	get_probe(struct control *, struct req *);
void	get_generate_204(struct control *, struct req *);
void	get_bootstrap_dns(struct control *, struct req *);
void	post_verify(struct control *, struct req *);

#endif
