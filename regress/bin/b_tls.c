/*
 * What TLS costs a worker: handshakes a second with the key in the process
 * and with the key in headscaled-keyd, the program beside the folder of this
 * one, by the clock and by the processors' time (which others on the machine
 * disturb less), by turns, and of seven turns the one whose ratio is in the
 * middle; octets of heap for an idle client; sealing and opening.
 *
 *	b_tls [seconds a measurement [clients]]
 */

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
#include "common/ev.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "regress/lib/certkit.h"
#include "regress/lib/keydkit.h"
#include "regress/lib/networld.h"
#include "worker/net/tlsrec.h"
#include "worker/sig.h"

#define OCTETS	1200
#define ROUNDS	7
#define CROWD	32		/* clients that come at once */
#define PIECE	20000		/* octets, at most, that one says at once */

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

static struct sig	*link_to_keyd;

/* On a machine that others load it may be late; it may not be gone. */
static void
on_change(void *arg)
{
	(void)arg;
	if (!sig_is_up(link_to_keyd))
		fatalx("the signer is gone");
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

/* One kind of key, here or there, for one turn. */
struct turn {
	double		 n, server, cpu;
	double		 signer;	/* seconds of CPU, keyd's */
};

struct figures {
	struct turn	 here[ROUNDS];
	struct turn	 there[ROUNDS];
};

static const struct {
	enum ck_kind	 kind;
	const char	*name;
} kinds[] = {
	{ CK_P256, "ECDSA P-256" },
	{ CK_P384, "ECDSA P-384" },
	{ CK_ED25519, "Ed25519" },
	{ CK_RSA2048, "RSA-2048" },
	{ CK_RSA4096, "RSA-4096" }
};

#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* A client, and what the one or the other said last. */
struct guest {
	struct conn	*conn;
	struct tlsclient *client;
	uint8_t		 said[PIECE];
	size_t		 n;
};

static void
on_round(void *arg)
{
	ev_stop(arg);
}

/* The server's answers to all, however they come; ev: the signer's, or NULL. */
static void
answers(struct networld *w, struct ev *ev, struct guest *g)
{
	size_t i, left = CROWD;

	for (i = 0; i < CROWD; i++) {
		conn_input(g[i].conn, g[i].said, g[i].n);
		g[i].n = 0;
	}
	for (;;) {
		for (i = 0; i < CROWD; i++)
			if (g[i].n == 0 && conn_wants_output(g[i].conn)) {
				g[i].n = conn_output(g[i].conn, g[i].said,
				    PIECE);
				left--;
			}
		if (left == 0)
			return;
		if (ev == NULL)
			fatalx("no answer");
		ev_run(ev, on_round, ev);
		fakeenv_advance(w->fake, 0);	/* the line moves on */
	}
}

/*
 * A crowd comes at once, so that a worker has what to do while keyd signs; the
 * clients' own work is done while neither has anything to do, and not counted.
 */
static void
handshakes(struct networld *w, struct ev *ev)
{
	static struct guest g[CROWD];
	struct ipport from = { .addr.family = 4 };
	size_t i;

	for (i = 0; i < CROWD; i++) {
		g[i].client = tlsclient_new(NULL);
		g[i].n = tlsclient_output(g[i].client, g[i].said, PIECE);
	}
	enter();
	for (i = 0; i < CROWD; i++)
		g[i].conn = conn_new(w->net, &from, CONN_K_TLS, false, NULL);
	answers(w, ev, g);
	leave();
	for (i = 0; i < CROWD; i++) {
		tlsclient_input(g[i].client, g[i].said, g[i].n);
		g[i].n = tlsclient_output(g[i].client, g[i].said, PIECE);
		if (!tlsclient_is_ready(g[i].client))
			fatalx("no handshake");
	}
	enter();
	for (i = 0; i < CROWD; i++)
		conn_input(g[i].conn, g[i].said, g[i].n);
	leave();
	for (i = 0; i < CROWD; i++) {
		tlsclient_free(g[i].client);
		conn_free(g[i].conn);
	}
}

/* The first ones, which make what all others find, are not counted. */
static void
take_turn(struct networld *w, struct certkit *kit,
    const struct tls_signer *signer, struct ev *ev, clockid_t keyd,
    enum ck_kind kind, double seconds, struct turn *turn)
{
	struct tls *t = tls_new(signer);

	certkit_add(kit, t, kind, "DNS:a.example");
	net_tls(w->net, t);
	tls_free(t);
	handshakes(w, ev);
	server = cpu = 0;
	turn->signer = clock_s(keyd);
	while (server < seconds) {
		handshakes(w, ev);
		turn->n += CROWD;
	}
	turn->signer = clock_s(keyd) - turn->signer;
	turn->server = server;
	turn->cpu = cpu;
	net_tls(w->net, NULL);
}

static struct tls_signer	remote;

/* The number as a worker says it, with that of the configuration. */
static int
ask_keyd(struct tls_hs *h, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	return remote.sign(h, TLSKEY_OF(KEYDKIT_EPOCH, key), scheme, octets, n,
	    sig, max, arg);
}

/* From here on the process may what a worker may, and its calls cost that. */
static struct ev *
become_worker(struct networld *w, struct certkit *kit, const char *folder)
{
	struct sandbox_conf conf;
	struct tls_signer here = certkit_signer(kit);
	struct tls *t = tls_new(&here);
	struct ev *ev;

	/* The client's library looks for its configuration. */
	certkit_add(kit, t, CK_P256, "DNS:a.example");
	net_tls(w->net, t);
	tls_free(t);
	handshakes(w, NULL);
	memset(&conf, 0, sizeof(conf));
	conf.role = ROLE_WORKER;
	conf.drop = geteuid() == 0;
	conf.uid = conf.gid = KEYDKIT_NOBODY;
	conf.dir = folder;
	sandbox_fds();
	ev = ev_new();
	sandbox_enter(&conf);
	return ev;
}

static void
worker(struct networld *w, struct certkit *kit, const char *folder, int fd,
    pid_t pid, double seconds, struct figures *f)
{
	struct tls_signer here = certkit_signer(kit), there;
	struct link_conf link = { .slot = 1, .generation = 1 };
	struct ev *ev;
	clockid_t keyd;
	size_t i, j;

	if (clock_getcpuclockid(pid, &keyd) != 0)
		fatalx("keyd's time cannot be told");
	if (dup2(fd, 3) == -1)
		fatal("dup2");
	ev = become_worker(w, kit, folder);
	link_to_keyd = sig_new(ev, on_change, NULL);
	sig_set_fd(link_to_keyd, &link, 3);
	there = remote = sig_signer(link_to_keyd);
	there.sign = ask_keyd;
	for (i = 0; i < KINDS; i++)
		for (j = 0; j < ROUNDS; j++) {
			take_turn(w, kit, &here, NULL, keyd, kinds[i].kind,
			    seconds, &f[i].here[j]);
			take_turn(w, kit, &there, ev, keyd, kinds[i].kind,
			    seconds, &f[i].there[j]);
		}
	_exit(0);
}

/* Of the rate with the key here. */
static double
share(const struct figures *f, size_t round)
{
	const struct turn *a = &f->here[round], *b = &f->there[round];

	return 100 * b->n / b->server * a->server / a->n;
}

static void
say(const char *name, const struct figures *f)
{
	struct turn a = { 0 }, b = { 0 };
	size_t i, j, less, mid = 0;

	for (i = 0; i < ROUNDS; i++) {
		for (j = less = 0; j < ROUNDS; j++)
			less += share(f, j) < share(f, i) ||
			    (share(f, j) <= share(f, i) && j < i);
		if (less == ROUNDS / 2)
			mid = i;
		a.n += f->here[i].n;
		a.cpu += f->here[i].cpu;
		b.n += f->there[i].n;
		b.cpu += f->there[i].cpu;
		b.signer += f->there[i].signer;
	}
	printf("%s: %.0f handshakes/s with the key here, %.0f with it there: "
	    "%.0f %%\n", name, f->here[mid].n / f->here[mid].server,
	    f->there[mid].n / f->there[mid].server, share(f, mid));
	printf("    %.0f us of CPU here, %.0f there and %.0f keyd's: %.0f %%; "
	    "rounds:", 1e6 * a.cpu / a.n, 1e6 * b.cpu / b.n,
	    1e6 * b.signer / b.n, 100 * a.cpu / a.n * b.n /
	    (b.cpu + b.signer));
	for (i = 0; i < ROUNDS; i++)
		printf(" %.0f %%", share(f, i));
	printf("\n");
}

/* Seconds that all processors were at work since the machine began. */
static double
busy(void)
{
	static const size_t work[] = { 0, 1, 2, 5, 6 };	/* proc(5): cpu */
	char line[256], *p = line + 3;
	double ticks[7], sum = 0;
	FILE *f;
	size_t i;

	if ((f = fopen("/proc/stat", "r")) == NULL)
		return 0;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = line[3] = '\0';
	(void)fclose(f);
	for (i = 0; i < 7; i++)
		ticks[i] = strtod(p, &p);
	for (i = 0; i < sizeof(work) / sizeof(work[0]); i++)
		sum += ticks[work[i]];
	return sum / (double)sysconf(_SC_CLK_TCK);
}

/* Of the children that were waited for. */
static double
own(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_CHILDREN, &ru) == -1)
		fatal("getrusage");
	return (double)ru.ru_utime.tv_sec + (double)ru.ru_stime.tv_sec +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

/*
 * keyd is the program itself; the worker is a process of its own with the
 * rights of one.
 */
static void
signing(struct networld *w, const char *program, double seconds)
{
	char folder[] = "/tmp/b_tls.XXXXXXXXXX";
	struct certkit *kit = certkit_new();
	struct keydkit_pair pairs[CK_KINDS];
	struct figures *f;
	struct keydkit *k;
	double start, others;
	int status;
	pid_t pid;
	size_t i;

	/* The numbers are those that certkit_add() gives. */
	for (i = 0; i <= CK_RSA4096; i++) {
		pairs[i].key = certkit_key_pem(kit, (enum ck_kind)i);
		pairs[i].cert = certkit_pem(kit, (enum ck_kind)i,
		    "DNS:a.example");
	}
	f = mmap(NULL, KINDS * sizeof(*f), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f == MAP_FAILED || mkdtemp(folder) == NULL ||
	    chmod(folder, 0755) == -1)
		fatal("%s", folder);
	if ((k = keydkit_start(program, folder, pairs, i)) == NULL)
		fatal("%s", program);
	start = clock_s(CLOCK_MONOTONIC);
	others = busy();
	if ((pid = fork()) == -1)
		fatal("fork");
	if (pid == 0)
		worker(w, kit, folder, keydkit_sig(k), keydkit_pid(k),
		    seconds / ROUNDS, f);
	if (waitpid(pid, &status, 0) == -1 || status != 0)
		fatalx("the worker failed status=%d", status);
	(void)close(keydkit_sig(k));
	keydkit_stop(k);
	others = busy() - others - own();
	printf("others on the machine meanwhile: %.2f of a core\n",
	    others / (clock_s(CLOCK_MONOTONIC) - start));
	(void)rmdir(folder);
	for (i = 0; i < KINDS; i++)
		say(kinds[i].name, &f[i]);
	for (i = 0; i <= CK_RSA4096; i++) {
		free(pairs[i].key);
		free(pairs[i].cert);
	}
	(void)munmap(f, KINDS * sizeof(*f));
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
	char program[1024];
	const char *slash;
	struct networld *w;

	(void)signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (noise_init() == -1)
		fatalx("libraries");
	w = networld_new(&conf);
	w->on_req = on_req;
	/* out/b/b_tls, and out/headscaled-keyd */
	slash = strrchr(argv[0], '/');
	(void)snprintf(program, sizeof(program), "%.*s/../headscaled-keyd",
	    slash == NULL ? 1 : (int)(slash - argv[0]),
	    slash == NULL ? "." : argv[0]);
	signing(w, program, seconds);
	idle(w, clients);
	records(0x1301, "AES-128-GCM", 1, seconds / 3);
	records(0x1301, "AES-128-GCM", 1000, seconds / 3);
	records(0x1302, "AES-256-GCM", 1000, seconds / 3);
	records(0x1303, "ChaCha20-Poly1305", 1, seconds / 3);
	records(0x1303, "ChaCha20-Poly1305", 1000, seconds / 3);
	networld_free(w);
	return 0;
}
