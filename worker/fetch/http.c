#include <sys/types.h>
#include <sys/socket.h>
#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/buf.h"
#include "common/compat/compat.h"
#include "common/log.h"
#include "common/version.h"
#include "worker/fetch/addr.h"
#include "worker/fetch/http.h"
#include "worker/fetch/name.h"

#define HEADERS_MAX	(32 * 1024)	/* octets of an answer's header */
#define CONNECT_MS	10000L
#define WHY_MAX		512

struct job {
	LIST_ENTRY(job)		 entry;
	struct http		*http;
	ask_done		 done;
	void			*tag;
	char			 url[ASK_URL_MAX + 1];
	char			 host[256];
	unsigned int		 port;
	struct buf		 body;		/* of our request */
	enum ask_method		 method;
	uint32_t		 max;
	bool			 insecure;
	bool			 want4, want6;
	uint64_t		 due;
	void			*look;		/* at a name */
	struct timer		 soon;		/* it fails, or is too late */
	CURL			*easy;		/* once there is an address */
	struct curl_slist	*headers;
	struct curl_slist	*resolve;
	char			 curl_why[CURL_ERROR_SIZE];
	/* the answer */
	char			 why[WHY_MAX];
	struct buf		 got;
	size_t			 nheaders;
	char			 type[ASK_FIELD];
	char			 nonce[ASK_FIELD];
	char			 location[ASK_URL_MAX + 1];
	char			 retry_after[ASK_FIELD];
	char			 accept[ASK_FIELD];
};

struct http {
	struct ev		*ev;
	struct name		*name;
	CURLM			*multi;
	struct timer		 timer;
	LIST_HEAD(jobs, job)	 jobs;
	X509_STORE		*ca;
	struct prefix		 allow[ALLOW_MAX];
	size_t			 nallow;
};

/* The end of a job. */

static void
job_free(struct job *j)
{
	LIST_REMOVE(j, entry);
	timer_stop(&j->soon);
	if (j->look != NULL)
		name_stop(j->http->name, j->look);
	if (j->easy != NULL) {
		(void)curl_multi_remove_handle(j->http->multi, j->easy);
		curl_easy_cleanup(j->easy);
	}
	curl_slist_free_all(j->headers);
	curl_slist_free_all(j->resolve);
	buf_free(&j->body);
	buf_free(&j->got);
	free(j);
}

/* status 0: for the reason why. */
static void
job_end(struct job *j, unsigned int status, const char *why)
{
	struct answer a;
	curl_off_t sent = 0, first = 0;

	memset(&a, 0, sizeof(a));
	a.status = status;
	a.why = why;
	a.type = j->type;
	a.nonce = j->nonce;
	a.location = j->location;
	a.retry_after = j->retry_after;
	if (status != 0) {
		a.body = buf_slice_of(&j->got);
		(void)curl_easy_getinfo(j->easy, CURLINFO_PRETRANSFER_TIME_T,
		    &sent);
		(void)curl_easy_getinfo(j->easy, CURLINFO_STARTTRANSFER_TIME_T,
		    &first);
		a.us = first > sent ? (uint32_t)(first - sent) : 0;
	}
	j->done(j->tag, &a);
	job_free(j);
}

static void
on_soon(void *arg)
{
	struct job *j = arg;

	job_end(j, 0, j->why[0] != '\0' ? j->why : "no answer in time");
}

/* For start, which must not call done itself. */
static void __attribute__((__format__(printf, 2, 3)))
fail_soon(struct job *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(j->why, sizeof(j->why), fmt, ap);
	va_end(ap);
	timer_in(&j->soon, 0);
}

static void
on_complete(struct job *j, CURLcode rc)
{
	long status = 0;

	if (rc == CURLE_OK)
		(void)curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE,
		    &status);
	if (status > 0 && status < 1000)
		job_end(j, (unsigned int)status, "");
	else if (j->why[0] != '\0')
		job_end(j, 0, j->why);
	else if (j->curl_why[0] != '\0')
		job_end(j, 0, j->curl_why);
	else
		job_end(j, 0, curl_easy_strerror(rc));
}

/* libcurl's events. */

static void
collect(struct http *h)
{
	struct CURLMsg *m;
	struct job *j;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		j = NULL;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &j);
		on_complete(j, m->data.result);
	}
}

static void
act(struct http *h, curl_socket_t fd, int what)
{
	int running;

	(void)curl_multi_socket_action(h->multi, fd, what, &running);
	collect(h);
}

static void
on_fd(int fd, unsigned int got, void *arg)
{
	act(arg, fd, ((got & EV_F_READ) != 0 ? CURL_CSELECT_IN : 0) |
	    ((got & EV_F_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void
on_time(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_timer_wanted(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	if (ms < 0)
		timer_stop(&h->timer);
	else
		timer_in(&h->timer, (uint64_t)ms * US_PER_MS);
	return 0;
}

static int
on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *sp)
{
	struct ev_fd *ev_fd = sp;
	struct http *h = arg;
	unsigned int want = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		ev_fd_del(ev_fd);
		(void)curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		want |= EV_F_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		want |= EV_F_WRITE;
	if (ev_fd != NULL)
		ev_fd_want(ev_fd, want);
	else {
		ev_fd = ev_fd_add(h->ev, fd, want, on_fd, h);
		(void)curl_multi_assign(h->multi, fd, ev_fd);
	}
	return 0;
}

/* The last word on where we connect to. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct job *j = arg;
	char text[IP_TEXT];
	struct ipport at;

	ipport_from(&at, &to->addr);
	if (purpose != CURLSOCKTYPE_IPCXN || to->socktype != SOCK_STREAM ||
	    !addr_ok(&at.addr, j->http->allow, j->http->nallow)) {
		(void)ip_print(text, &at.addr);
		(void)snprintf(j->why, sizeof(j->why), "%s is at %s, which is "
		    "not a public address", j->host, text);
		return CURL_SOCKET_BAD;
	}
	return socket(to->family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* The answer. */

static size_t
on_body(char *p, size_t one, size_t n, void *arg)
{
	struct job *j = arg;

	(void)one;		/* it is 1 */
	if (n > j->max - j->got.n) {
		(void)snprintf(j->why, sizeof(j->why), "the answer is longer "
		    "than %lu octets", (unsigned long)j->max);
		return 0;
	}
	buf_put(&j->got, p, n);
	return n;
}

static void
put_field(char *dst, size_t max, struct slice v)
{
	while (v.n > 0 && strchr(" \t\r\n", v.p[v.n - 1]) != NULL)
		v.n--;
	while (v.n > 0 && (*v.p == ' ' || *v.p == '\t')) {
		v.p++;
		v.n--;
	}
	(void)slice_copy(dst, max, v);
}

static bool
is_field(struct slice line, const char *name, struct slice *v)
{
	size_t len = strlen(name);

	if (line.n <= len || line.p[len] != ':' ||
	    strncasecmp(line.p, name, len) != 0)
		return false;
	*v = slice_mem(line.p + len + 1, line.n - len - 1);
	return true;
}

static void
put_type(struct job *j, struct slice v)
{
	char *p;

	put_field(j->type, sizeof(j->type), v);
	j->type[strcspn(j->type, "; \t")] = '\0';
	for (p = j->type; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
}

static size_t
on_header(char *p, size_t one, size_t n, void *arg)
{
	struct slice line = slice_mem(p, n), v;
	struct job *j = arg;

	(void)one;
	if (n > HEADERS_MAX - j->nheaders) {
		(void)snprintf(j->why, sizeof(j->why),
		    "the answer's header is longer than %d octets",
		    HEADERS_MAX);
		return 0;
	}
	j->nheaders += n;
	if (slice_prefix(line, "HTTP/")) {	/* a 1xx answer came before */
		j->type[0] = j->nonce[0] = '\0';
		j->location[0] = j->retry_after[0] = '\0';
	} else if (is_field(line, "content-type", &v))
		put_type(j, v);
	else if (is_field(line, "replay-nonce", &v))
		put_field(j->nonce, sizeof(j->nonce), v);
	else if (is_field(line, "location", &v))
		put_field(j->location, sizeof(j->location), v);
	else if (is_field(line, "retry-after", &v))
		put_field(j->retry_after, sizeof(j->retry_after), v);
	return n;
}

/* The request. */

static CURLcode
on_tls(CURL *easy, void *ctx, void *arg)
{
	struct job *j = arg;

	(void)easy;
	if (j->http->ca != NULL)
		SSL_CTX_set1_cert_store(ctx, j->http->ca);
	return CURLE_OK;
}

static void
add_header(struct job *j, const char *line)
{
	struct curl_slist *l;

	if ((l = curl_slist_append(j->headers, line)) == NULL)
		fatalx("libcurl: out of memory");
	j->headers = l;
}

#define OPT(o, v)	(bad |= curl_easy_setopt(j->easy, o, v) != CURLE_OK)

/* Whatever might lead elsewhere is off, even where that is the default. */
static bool
set_rules(struct job *j)
{
	bool bad = false;

	OPT(CURLOPT_PROTOCOLS_STR, "https");
	OPT(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	OPT(CURLOPT_FOLLOWLOCATION, 0L);
	OPT(CURLOPT_PROXY, "");
	OPT(CURLOPT_NOPROXY, "*");
	OPT(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	OPT(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	OPT(CURLOPT_NOSIGNAL, 1L);
	OPT(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	OPT(CURLOPT_HTTP09_ALLOWED, 0L);
	OPT(CURLOPT_FRESH_CONNECT, 1L);
	OPT(CURLOPT_FORBID_REUSE, 1L);
	OPT(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	OPT(CURLOPT_SSL_VERIFYPEER, j->insecure ? 0L : 1L);
	OPT(CURLOPT_SSL_VERIFYHOST, j->insecure ? 0L : 2L);
	OPT(CURLOPT_CAINFO, NULL);
	OPT(CURLOPT_CAPATH, NULL);
	OPT(CURLOPT_SSL_CTX_FUNCTION, on_tls);
	OPT(CURLOPT_SSL_CTX_DATA, j);
	OPT(CURLOPT_OPENSOCKETFUNCTION, on_open);
	OPT(CURLOPT_OPENSOCKETDATA, j);
	OPT(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	return !bad;
}

static bool
set_request(struct job *j, long left_ms)
{
	bool bad = false;

	OPT(CURLOPT_URL, j->url);
	OPT(CURLOPT_RESOLVE, j->resolve);
	OPT(CURLOPT_TIMEOUT_MS, left_ms);
	OPT(CURLOPT_USERAGENT, "headscaled/" HEADSCALED_VERSION);
	OPT(CURLOPT_PRIVATE, j);
	OPT(CURLOPT_ERRORBUFFER, j->curl_why);
	OPT(CURLOPT_WRITEFUNCTION, on_body);
	OPT(CURLOPT_WRITEDATA, j);
	OPT(CURLOPT_HEADERFUNCTION, on_header);
	OPT(CURLOPT_HEADERDATA, j);
	if (j->method == ASK_HEAD)
		OPT(CURLOPT_NOBODY, 1L);
	if (j->method == ASK_POST) {
		OPT(CURLOPT_POST, 1L);
		OPT(CURLOPT_POSTFIELDS, (char *)j->body.p);
		OPT(CURLOPT_POSTFIELDSIZE, (long)j->body.n);
		add_header(j, "Content-Type: application/jose+json");
		add_header(j, "Expect:");
	}
	if (j->accept[0] != '\0')
		add_header(j, j->accept);
	add_header(j, "Accept-Language: en");
	OPT(CURLOPT_HTTPHEADER, j->headers);
	return !bad;
}

#undef OPT

/* Its addresses are known, or stand in the URL. */
static void
launch(struct job *j)
{
	uint64_t now = env_now(ev_env(j->http->ev));

	if (now + US_PER_MS > j->due) {
		fail_soon(j, "no answer in time");
		return;
	}
	timer_stop(&j->soon);
	if ((j->easy = curl_easy_init()) == NULL || !set_rules(j) ||
	    !set_request(j, (long)((j->due - now) / US_PER_MS)))
		fatalx("libcurl lacks an option that we need");
	if (curl_multi_add_handle(j->http->multi, j->easy) != CURLM_OK)
		fatalx("libcurl: out of memory");
}

/* False if none of the addresses may be asked. */
static bool
pin(struct job *j, const struct ip *ip, size_t n)
{
	struct buf b = { 0 };
	char text[IP_TEXT];
	size_t i, taken = 0;

	buf_printf(&b, "+%s:%u:", j->host, j->port);
	for (i = 0; i < n; i++) {
		if (!(ip[i].family == 4 ? j->want4 : j->want6))
			continue;
		(void)ip_print(text, &ip[i]);
		if (!addr_ok(&ip[i], j->http->allow, j->http->nallow)) {
			(void)snprintf(j->why, sizeof(j->why), "%s is at %s, "
			    "which is not a public address", j->host, text);
			continue;
		}
		buf_printf(&b, ip[i].family == 6 ? "%s[%s]" : "%s%s",
		    taken++ == 0 ? "" : ",", text);
	}
	buf_u8(&b, 0);
	if (taken > 0) {
		j->why[0] = '\0';
		j->resolve = curl_slist_append(NULL, (const char *)b.p);
		if (j->resolve == NULL)
			fatalx("libcurl: out of memory");
	} else if (j->why[0] == '\0')
		(void)snprintf(j->why, sizeof(j->why), "%s has no address "
		    "of this family", j->host);
	buf_free(&b);
	return taken > 0;
}

static void
on_name(void *tag, const struct ip *ip, size_t n, const char *why)
{
	struct job *j = tag;

	j->look = NULL;
	if (n == 0)
		fail_soon(j, "%s: %s", j->host, why);
	else if (pin(j, ip, n))
		launch(j);
	else
		timer_in(&j->soon, 0);
}

/* An address instead of a look-up; false if it is none of this family. */
static bool
take_fixed(const char *text, unsigned int family, struct ip *ip, size_t *n)
{
	if (text == NULL || text[0] == '\0')
		return true;
	if (!ip_parse(&ip[*n], slice_str(text)) || ip[*n].family != family)
		return false;
	(*n)++;
	return true;
}

/* Takes the URL apart as libcurl will do, so that both mean the same host. */
static bool
split_url(struct job *j)
{
	char *host = NULL, *port = NULL, *scheme = NULL;
	CURLU *u = curl_url();
	bool good;

	good = u != NULL &&
	    curl_url_set(u, CURLUPART_URL, j->url, CURLU_DISALLOW_USER) ==
	    CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    strcmp(scheme, "https") == 0 &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
	    CURLUE_OK &&
	    slice_copy(j->host, sizeof(j->host), slice_str(host));
	if (good)
		j->port = (unsigned int)strtonum(port, 1, 65535, NULL);
	curl_free(host);
	curl_free(port);
	curl_free(scheme);
	curl_url_cleanup(u);
	return good && j->port != 0;
}

static bool
is_literal(struct job *j, struct ip *ip)
{
	size_t n = strlen(j->host);

	if (n > 2 && j->host[0] == '[' && j->host[n - 1] == ']')
		return ip_parse(ip, slice_mem(j->host + 1, n - 2));
	return ip_parse(ip, slice_str(j->host));
}

/* Which way to the host's addresses. */
static void
find_host(struct job *j, const struct ask *a)
{
	struct ip ip[2];
	size_t n = 0, len;

	if (!split_url(j)) {
		fail_soon(j, "not an https URL that we ask");
		return;
	}
	j->want4 = take_fixed(a->ip4, 4, ip, &n);
	j->want6 = take_fixed(a->ip6, 6, ip, &n);
	len = strlen(j->host);
	if (n == 0 && is_literal(j, &ip[0])) {
		if (addr_ok(&ip[0], j->http->allow, j->http->nallow))
			launch(j);
		else
			fail_soon(j, "%s is not a public address", j->host);
	} else if (n > 0) {
		if (pin(j, ip, n))
			launch(j);
		else
			timer_in(&j->soon, 0);
	} else if (!dns_name_ok(slice_str(j->host)) || j->host[len - 1] == '.')
		fail_soon(j, "not a host's name");
	else
		j->look = name_find(j->http->name, j->host, on_name, j);
}

static void *
start(void *arg, const struct ask *a, ask_done done, void *tag)
{
	struct http *h = arg;
	struct job *j;

	j = xcalloc(1, sizeof(*j));
	j->http = h;
	j->done = done;
	j->tag = tag;
	j->method = a->method;
	j->max = a->max;
	j->insecure = a->insecure;
	j->due = env_now(ev_env(h->ev)) + a->total_ms * US_PER_MS;
	timer_init(&j->soon, ev_env(h->ev), on_soon, j);
	timer_at(&j->soon, j->due);
	LIST_INSERT_HEAD(&h->jobs, j, entry);
	buf_slice(&j->body, a->body);
	if (a->accept != NULL)
		(void)snprintf(j->accept, sizeof(j->accept), "Accept: %s",
		    a->accept);
	if (strlcpy(j->url, a->url, sizeof(j->url)) >= sizeof(j->url))
		fail_soon(j, "the URL is too long");
	else
		find_host(j, a);
	return j;
}

static void
stop(void *arg, void *job)
{
	(void)arg;
	job_free(job);
}

const struct ask_ops *
http_ops(void)
{
	static const struct ask_ops ops = { start, stop };

	return &ops;
}

/* The whole. */

struct http *
http_new(void)
{
	struct http *h;

	h = xcalloc(1, sizeof(*h));
	LIST_INIT(&h->jobs);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		fatalx("libcurl cannot be used");
	h->name = name_new();
	return h;
}

void
http_open(struct http *h, struct ev *ev)
{
	h->ev = ev;
	name_open(h->name, ev);
	timer_init(&h->timer, ev_env(ev), on_time, h);
	if ((h->multi = curl_multi_init()) == NULL ||
	    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION,
	    on_socket_wanted) != CURLM_OK ||
	    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) != CURLM_OK ||
	    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION,
	    on_timer_wanted) != CURLM_OK ||
	    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) != CURLM_OK)
		fatalx("libcurl cannot be used");
}

/* Adds the bundle's certificates to a store, if there is one; how many. */
static size_t
read_ca(struct slice pem, X509_STORE *store)
{
	X509 *cert;
	size_t n = 0;
	BIO *bio;

	if (pem.n == 0 || pem.n > INT_MAX ||
	    (bio = BIO_new_mem_buf(pem.p, (int)pem.n)) == NULL)
		return 0;
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		if (store == NULL || X509_STORE_add_cert(store, cert) == 1)
			n++;
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error();
	return n;
}

size_t
http_check_ca(struct slice pem)
{
	return read_ca(pem, NULL);
}

void
http_load(struct http *h, struct slice hosts, struct slice resolv,
    struct slice ca, const struct prefix *allow, size_t n)
{
	X509_STORE *store;

	if ((store = X509_STORE_new()) == NULL ||
	    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST |
	    X509_V_FLAG_PARTIAL_CHAIN) != 1)
		fatalx("OpenSSL: out of memory");
	log_debug("trusted certificates: %zu", read_ca(ca, store));
	X509_STORE_free(h->ca);
	h->ca = store;
	h->nallow = n < ALLOW_MAX ? n : ALLOW_MAX;
	memcpy(h->allow, allow, h->nallow * sizeof(*allow));
	name_load(h->name, hosts, resolv);
}
