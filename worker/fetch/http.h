/*
 * HTTPS by libcurl: TLS 1.2 or later, no redirects, no proxy, no cookies, one
 * connection a request, and each address is checked when its socket is made.
 */

#ifndef WORKER_FETCH_HTTP_H
#define WORKER_FETCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/ev.h"
#include "common/ip.h"
#include "worker/fetch/ask.h"

#define ALLOW_MAX	64	/* prefixes that http_conf() takes */

struct http;

/*
 * What is to be set up while files of the system can still be read: libcurl,
 * OpenSSL, c-ares.  Never NULL.
 */
struct http	*http_new(void);
/* Where its sockets wait; before all else. */
void		 http_open(struct http *, struct ev *);
/*
 * Checks a bundle of CA certificates (PEM): how many it has; 0 if it cannot
 * be used.
 */
size_t		 http_check_ca(struct slice pem);
/*
 * The configuration in force from now on: copies of hosts(5), resolv.conf(5)
 * and the CA bundle, and the prefixes that may be asked although they are not
 * public.
 */
void		 http_load(struct http *, struct slice hosts,
		    struct slice resolv, struct slice ca,
		    const struct prefix *allow, size_t n);
/* For the core; its arg is the struct http. */
const struct ask_ops *http_ops(void);

#endif
