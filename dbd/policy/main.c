#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "common/compat/compat.h"
#include "common/compat/sys.h"
#include "common/link.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "dbd/policy/policy.h"
#include "dbd/policy/serve.h"

#define NAME		"headscaled-policyc"
#define POL_FD		3
#define QUEUE_MAX	((size_t)128 * 1024 * 1024)

/*
 * The link's socket.  One peer, one question, one answer: it may block, and
 * that needs no event loop, whose start would cost more than a compile.
 */
struct pipe {
	struct link	*link;
	struct imsgbuf	 rx;
	struct imsgbuf	 tx;
	bool		 closed;
};

/* The world. */

static void
real_random(void *arg, void *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
	fatalx("a policy has no use for chance");
}

static void
real_end(void *arg, int code, const char *why)
{
	(void)arg;
	if (code != 0)
		log_warnx("%s", why);
	exit(code);
}

static const struct env_ops world = {
	env_real_now, env_real_wall, real_random, real_end
};

/* The transport. */

static void
pipe_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n,
    int fd)
{
	struct pipe *pp = arg;

	if (imsg_compose(&pp->tx, type, id, 0, fd, p, n) == -1)
		fatal("message cannot be queued length=%zu", n);
}

static size_t
pipe_queued(void *arg)
{
	struct pipe *pp = arg;

	return imsgbuf_queued(&pp->tx);
}

static void
pipe_close(void *arg)
{
	struct pipe *pp = arg;

	(void)imsgbuf_flush(&pp->tx);	/* a refusal should still arrive */
	(void)close(POL_FD);
	pp->closed = true;
}

static const struct link_io pipe_io = {
	pipe_send, pipe_queued, pipe_close
};

static void
pipe_init(struct pipe *pp)
{
	int flags;

	memset(pp, 0, sizeof(*pp));
	if ((flags = fcntl(POL_FD, F_GETFL)) == -1 ||
	    fcntl(POL_FD, F_SETFL, flags & ~O_NONBLOCK) == -1)
		fatal("link cannot be made blocking");
	if (imsgbuf_init(&pp->rx, POL_FD) == -1 ||
	    imsgbuf_init(&pp->tx, POL_FD) == -1 ||
	    imsgbuf_set_maxsize(&pp->rx, MSG_MAX + IMSG_HEADER_SIZE) == -1 ||
	    imsgbuf_set_maxsize(&pp->tx, MSG_MAX + IMSG_HEADER_SIZE) == -1)
		fatal("imsgbuf_init");
}

static void
pipe_deliver(struct pipe *pp)
{
	struct imsg imsg;
	int rc;

	while (!pp->closed && (rc = imsgbuf_get(&pp->rx, &imsg)) != 0) {
		if (rc == -1) {
			link_violation(pp->link, LINK_BAD_BODY);
			return;
		}
		link_input_imsg(pp->link, &imsg);
	}
}

/* on_down ends the process. */
static void __attribute__((__noreturn__))
pipe_run(struct pipe *pp, struct env *env)
{
	for (;;) {
		if (!pp->closed && imsgbuf_read(&pp->rx) != 1)
			link_eof(pp->link);
		pipe_deliver(pp);
		if (!pp->closed && imsgbuf_flush(&pp->tx) == -1)
			link_eof(pp->link);
		env_run(env);
	}
}

/* Ends and limits are master's: a signal to us alone means nothing. */
static void
ignore_signals(void)
{
	static const int none[] = {
		SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
		SIGPIPE
	};
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (signal(none[i], SIG_IGN) == SIG_ERR)
			fatal("signal %d", none[i]);
}

static bool
is_link(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getpeername(fd, (struct sockaddr *)&ss, &len) == 0 &&
	    ss.ss_family == AF_UNIX;
}

static unsigned int
number(const char *s, const char *what)
{
	const char *err;
	long long n;

	n = strtonum(s, 1, UINT32_MAX - 1, &err);
	if (err != NULL)
		fatalx("%s is %s", what, err);
	return (unsigned int)n;
}

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	(void)tag;
	serve_msg(arg, l, m);
}

/* dbd has its answer, or wants none. */
static void
on_down(struct link *l, enum link_why why, void *arg)
{
	(void)l;
	(void)arg;
	if (why == LINK_EOF)
		exit(0);
	fatalx("link to dbd is down: %s", link_why_text(why));
}

/* argv: room for the title, where the log goes, then uid, gid, chroot. */
static void __attribute__((__noreturn__))
serve(int argc, char **argv)
{
	struct sandbox_conf conf;
	struct link_conf lc;
	struct pipe pipe;
	struct env *env;

	sandbox_fds();
	log_init(NAME, STDERR_FILENO, strcmp(argv[2], "syslog") == 0, 0);
	ignore_signals();
	(void)umask(077);
	memset(&conf, 0, sizeof(conf));
	conf.role = ROLE_POLICYC;
	conf.dir = "/";
	if (argc == 6) {
		conf.drop = true;
		conf.uid = number(argv[3], "uid");
		conf.gid = number(argv[4], "gid");
		conf.dir = xstrdup(argv[5]);
	}
	compat_title_init(argc, argv);
	setproctitle("compiles a policy");
	pipe_init(&pipe);	/* before the filter */
	sandbox_enter(&conf);
	memset(&lc, 0, sizeof(lc));
	lc.kind = LINK_POL;
	lc.self = ROLE_POLICYC;
	lc.peer = ROLE_DBD;
	lc.queue_max = QUEUE_MAX;
	lc.on_msg = on_msg;
	lc.on_down = on_down;
	lc.arg = serve_new();
	env = env_new(&world, NULL);
	pipe.link = link_new(env, &lc, &pipe_io, &pipe);
	pipe_run(&pipe, env);
}

static void
usage(void)
{
	(void)fprintf(stderr, "usage: " NAME " -n file [-d domain]...\n"
	    "It is started by headscaled(8) else.\n");
	exit(2);
}

/* One octet more than a policy may have is enough to be refused. */
static void
read_file(const char *path, struct buf *b)
{
	ssize_t n = 1;
	int fd = STDIN_FILENO;

	if (strcmp(path, "-") != 0 &&
	    (fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		fatal("%s", path);
	while (n > 0 && b->n <= POLICY_TEXT_MAX) {
		n = read(fd, buf_room(b, 65536), 65536);
		if (n == -1)
			fatal("%s", path);
		b->n += (size_t)n;
	}
	if (fd != STDIN_FILENO)
		(void)close(fd);
}

/* Text alone, without users: what can be said of a file anywhere. */
static int
check(const char *path, const struct slice *domain, size_t ndomains)
{
	const struct tailnet_info info = { NULL, 0, domain, ndomains, false };
	struct buf in = { NULL, 0, 0 }, text = in, detail = in;
	struct pol_error e = { &text, &detail, { 0, 0 } };
	bool tests;
	int rc;

	read_file(path, &in);
	rc = policy_compile(buf_slice_of(&in), &info, NULL, NULL, &e, &tests);
	if (rc == 0)
		(void)printf("ok\n");
	else if (e.pos.line != 0)
		(void)fprintf(stderr, "%s:%u:%u: %.*s\n", path, e.pos.line,
		    e.pos.column, SLICE_FMT(buf_slice_of(&text)));
	else
		(void)fprintf(stderr, "%s: %.*s\n", path,
		    SLICE_FMT(buf_slice_of(&text)));
	(void)fprintf(stderr, "%.*s", SLICE_FMT(buf_slice_of(&detail)));
	buf_free(&in);
	buf_free(&text);
	buf_free(&detail);
	return rc == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct slice domain[64];
	const char *path = NULL;
	size_t n = 0;
	int ch;

	if (argc > 1 && argv[1][0] == ' ') {
		if ((argc != 3 && argc != 6) || !is_link(POL_FD))
			usage();
		serve(argc, argv);
	}
	while ((ch = getopt(argc, argv, "d:n:")) != -1)
		switch (ch) {
		case 'd':
			if (n == 64)
				usage();
			domain[n++] = slice_str(optarg);
			break;
		case 'n':
			path = optarg;
			break;
		default:
			usage();
		}
	if (path == NULL || optind != argc)
		usage();
	log_init(NAME, STDERR_FILENO, false, 0);
	return check(path, domain, n);
}
