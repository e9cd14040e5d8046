/*
 * What TLS costs a worker: handshakes a second with the key in the process
 * and with a signer at the other end of a socketpair, by the clock and by the
 * processors' time (which others on the machine disturb less); octets of heap
 * for an idle client; sealing and opening.
 *
 *	b_tls [seconds a measurement [clients]]
 */

#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/msg.h"
#include "regress/lib/certkit.h"
#include "regress/lib/networld.h"
#include "worker/net/tlsrec.h"
#include "worker/sig.h"

#define OCTETS	1200

struct world {
	struct networld	*w;
	struct certkit	*kit;
	struct tls	*tls;
};

static double	server;		/* seconds spent in it */
static double	cpu;		/* of a processor's */

static double
clock_s(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) == -1)
		fatal("clock_gettime");
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double	t0, c0;

static void
enter(void)
{
	t0 = clock_s(CLOCK_MONOTONIC);
	c0 = clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

static void
leave(void)
{
	server += clock_s(CLOCK_MONOTONIC) - t0;
	cpu += clock_s(CLOCK_PROCESS_CPUTIME_ID) - c0;
}

static void
on_down(bool bad, void *arg)
{
	(void)arg;
	fatalx("the signer is gone bad=%d", bad);
}

/* The signer's process: as keyd, without its checks. */
static void
serve(struct certkit *kit, int fd)
{
	struct tls_signer s = certkit_signer(kit);
	struct imsgbuf b;
	struct imsg imsg;
	struct ibuf body;
	struct msg m, r;
	struct buf out = { 0 };
	uint8_t sig[TLS_SIG_MAX];
	int n;

	if (imsgbuf_init(&b, fd) == -1)
		fatal("imsgbuf");
	while (imsgbuf_read(&b) == 1)
		while (imsgbuf_get(&b, &imsg) == 1) {
			if (imsg_get_ibuf(&imsg, &body) == -1 ||
			    msg_decode(&m, M_SIG_SIGN, ibuf_data(&body),
			    ibuf_size(&body)) == -1)
				fatalx("bad question");
			n = s.sign(m.u.sig_sign.key, m.u.sig_sign.scheme,
			    (const uint8_t *)m.u.sig_sign.octets.p,
			    m.u.sig_sign.octets.n, sig, sizeof(sig), s.arg);
			msg_init(&r, M_SIG_OK);
			r.u.sig_ok.signature = slice_mem(sig, (size_t)n);
			buf_clear(&out);
			msg_encode(&out, &r);
			imsg_compose(&b, M_SIG_OK, imsg_get_id(&imsg), 0, -1,
			    out.p, out.n);
			imsg_free(&imsg);
			if (imsgbuf_write(&b) == -1)
				fatal("write");
		}
	_exit(0);
}

static struct tlsclient *
connect_one(struct networld *w, struct conn **c)
{
	struct ipport from = { .addr.family = 4 };
	struct tlsclient *t;
	uint8_t b[20000];
	size_t n;

	enter();
	*c = conn_new(w->net, &from, CONN_K_TLS, false, NULL);
	leave();
	t = tlsclient_new(NULL);
	for (;;) {
		n = tlsclient_output(t, b, sizeof(b));
		if (n == 0)
			break;
		enter();
		conn_input(*c, b, n);
		n = conn_output(*c, b, sizeof(b));
		leave();
		tlsclient_input(t, b, n);
	}
	if (!tlsclient_is_ready(t))
		fatalx("no handshake");
	return t;
}

struct sum {
	double		 n, server, cpu;
};

static void
handshakes(struct networld *w, double seconds, struct sum *sum)
{
	struct tlsclient *t;
	struct conn *c;

	server = cpu = 0;
	while (server < seconds) {
		t = connect_one(w, &c);
		tlsclient_free(t);
		conn_free(c);
		sum->n++;
	}
	sum->server += server;
	sum->cpu += cpu;
}

static void
one(struct networld *w, struct certkit *kit, const struct tls_signer *signer,
    enum ck_kind kind, double seconds, struct sum *sum)
{
	struct tls *t = tls_new(signer);

	certkit_add(kit, t, kind, "DNS:a.example");
	net_tls(w->net, t);
	tls_free(t);
	handshakes(w, seconds, sum);
}

static void
both(struct networld *w, enum ck_kind kind, const char *name, double seconds)
{
	struct certkit *kit = certkit_new();
	struct tls_signer here = certkit_signer(kit), there = { sig_sign,
	    NULL };
	struct sum a = { 0 }, b = { 0 };
	struct rusage ru;
	struct sig *s;
	double signer;
	int fd[2], i;
	pid_t pid;

	free(certkit_pem(kit, kind, "DNS:a.example"));	/* makes the key */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == -1 ||
	    (pid = fork()) == -1)
		fatal("signer");
	if (pid == 0) {
		close(fd[0]);
		serve(kit, fd[1]);
	}
	close(fd[1]);
	s = sig_new(on_down, NULL);
	sig_set_fd(s, fd[0]);
	there.arg = s;
	for (i = 0; i < 3; i++) {	/* by turns */
		one(w, kit, &here, kind, seconds / 3, &a);
		one(w, kit, &there, kind, seconds / 3, &b);
	}
	net_tls(w->net, NULL);
	sig_free(s);
	if (wait4(pid, NULL, 0, &ru) == -1)
		fatal("wait4");
	signer = (double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec /
	    1e6 + (double)ru.ru_stime.tv_sec + (double)ru.ru_stime.tv_usec /
	    1e6;
	printf("%s: %.0f handshakes/s with the key here, %.0f with it there: "
	    "%.0f %%\n", name, a.n / a.server, b.n / b.server,
	    100 * b.n / b.server * a.server / a.n);
	printf("    %.0f us of CPU here, %.0f there and %.0f the signer's: "
	    "%.0f %%\n", 1e6 * a.cpu / a.n, 1e6 * b.cpu / b.n,
	    1e6 * signer / b.n, 100 * a.cpu / a.n * b.n / (b.cpu + signer));
	certkit_free(kit);
}

static size_t
pipe_in(void *arg, const void *p, size_t n)
{
	(void)arg;
	(void)p;
	return n;
}

static bool
yes(const void *arg)
{
	(void)arg;
	return true;
}

static bool
no(const void *arg)
{
	(void)arg;
	return false;
}

static size_t
pipe_out(void *arg, uint8_t *dst, size_t max)
{
	(void)arg;
	(void)dst;
	(void)max;
	return 0;
}

static void
pipe_gone(void *arg)
{
	(void)arg;
}

static void
on_req(struct req *r, struct networld *w)
{
	static const struct pipe_ops ops = { pipe_in, yes, pipe_out, no, no,
	    pipe_gone, NULL };

	(void)w;
	if (req_pipe(r, "", 0, false, &ops, NULL) == NULL)
		fatalx("no pipe");
}

/* What n clients cost that came, and became a pipe each. */
static void
idle(struct networld *w, size_t n)
{
	static const char ask[] = "GET /derp HTTP/1.1\r\nHost: a\r\n\r\nhello";
	struct certkit *kit = certkit_new();
	struct tls_signer s = certkit_signer(kit);
	struct tls *t = tls_new(&s);
	struct tlsclient *c;
	struct conn **conns = xcalloc(n, sizeof(*conns));
	uint8_t b[4096];
	size_t i, len, before = 0;

	certkit_add(kit, t, CK_P256, "DNS:a.example");
	net_tls(w->net, t);
	tls_free(t);
	for (i = 0; i < n; i++) {
		if (i == n / 10)
			before = mallinfo2().uordblks;
		c = connect_one(w, &conns[i]);
		tlsclient_write(c, ask, strlen(ask));
		len = tlsclient_output(c, b, sizeof(b));
		conn_input(conns[i], b, len);
		while (conn_wants_output(conns[i]) &&
		    conn_output(conns[i], b, sizeof(b)) != 0)
			;
		tlsclient_free(c);
	}
	printf("an idle TLS client: %zu octets of heap\n",
	    (mallinfo2().uordblks - before) / (n - n / 10));
	for (i = 0; i < n; i++)
		conn_free(conns[i]);
	net_tls(w->net, NULL);
	certkit_free(kit);
	free(conns);
}

/* A packet in from one client and out to another, of so many pairs. */
static void
records(unsigned int suite, const char *name, size_t pairs, double seconds)
{
	struct tls_secrets a = { .suite = (uint16_t)suite,
	    .n = suite == 0x1302 ? 48 : 32 };
	struct tlsrec_env *e = tlsrec_env_new();
	struct tlsrec **from, **to;
	uint8_t rec[OCTETS + TLSREC_COST];
	const uint8_t *plain;
	struct buf out = { 0 };
	double from_s;
	size_t i, n, len;

	from = xcalloc(pairs, sizeof(*from));
	to = xcalloc(pairs, sizeof(*to));
	for (i = 0; i < pairs; i++) {
		from[i] = tlsrec_new(e, &a);
		to[i] = tlsrec_new(e, &a);
	}
	memset(rec, 0, sizeof(rec));
	from_s = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	for (n = 0; n < (size_t)(seconds * 2e5); n++) {
		i = n % pairs;
		len = tlsrec_seal(e, from[i], TLSREC_DATA, rec, OCTETS);
		if (tlsrec_open(e, to[i], rec, len, &plain, &len, &out) !=
		    TLSREC_E_DATA)
			fatalx("a record does not open");
	}
	from_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - from_s;
	printf("%s, %zu pairs: %.2f us of CPU to open and seal %d octets\n",
	    name, pairs, from_s * 1e6 / (double)n, OCTETS);
	for (i = 0; i < pairs; i++) {
		tlsrec_free(e, from[i]);
		tlsrec_free(e, to[i]);
	}
	free(from);
	free(to);
	tlsrec_env_free(e);
}

int
main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
	size_t clients = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
	static const struct net_conf conf = { 10, 300, 60, 16384, 1 << 20,
	    100000 };
	struct networld *w;

	(void)signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (noise_init() == -1)
		fatalx("libraries");
	w = networld_new(&conf);
	w->on_req = on_req;
	both(w, CK_P256, "ECDSA P-256", seconds);
	both(w, CK_ED25519, "Ed25519", seconds);
	both(w, CK_RSA2048, "RSA-2048", seconds);
	idle(w, clients);
	records(0x1301, "AES-128-GCM", 1, seconds / 3);
	records(0x1301, "AES-128-GCM", 1000, seconds / 3);
	records(0x1302, "AES-256-GCM", 1000, seconds / 3);
	records(0x1303, "ChaCha20-Poly1305", 1, seconds / 3);
	records(0x1303, "ChaCha20-Poly1305", 1000, seconds / 3);
	networld_free(w);
	return 0;
}
