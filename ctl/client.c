#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/link.h"
#include "ctl/client.h"

#define HELLO_S		10	/* connecting, too */
#define STATE_S		10	/* of the server itself */
#define ANSWER_S	30
#define LONG_S		120	/* several compilers in a row, with margin */

struct client {
	struct env	*env;
	struct link	*link;
	struct imsgbuf	 ibuf;
	struct timer	 deadline;
	int		 fd;
	bool		 over;		/* the transport is closed */
	bool		 down;		/* and the link has said so */
	bool		 answered;
	bool		 welcome;
	char		 refusal[513];	/* the text of a CTL_NO */
	enum link_why	 cause;
	void		(*fn)(const struct msg *, void *);
	void		*arg;
};

/* The world. */

static void
real_random(void *arg, void *p, size_t n)
{
	(void)arg;
	arc4random_buf(p, n);
}

/* dbd broke the rules: it speaks another language, and so the link is over. */
static void
real_end(void *arg, int code, const char *why)
{
	struct client *c = arg;

	(void)code;
	(void)why;
	c->down = true;
	c->cause = LINK_BAD_TYPE;
}

static const struct env_ops real_ops = {
	env_real_now, env_real_wall, real_random, real_end
};

/* The transport. */

static void
io_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	struct client *c = arg;

	if (imsg_compose(&c->ibuf, type, id, 0, fd, p, n) == -1)
		c->over = true;
}

static size_t
io_queued(void *arg)
{
	(void)arg;
	return 0;		/* only a policy is long, and bounded */
}

static void
io_close(void *arg)
{
	struct client *c = arg;

	c->over = true;
}

static const struct link_io client_io = { io_send, io_queued, io_close };

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct client *c = arg;

	(void)l;
	(void)tag;
	if (msg_class(m->type) == MSG_REPLY)
		c->answered = true;
	if (c->fn != NULL)
		c->fn(m, c->arg);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct client *c = arg;

	(void)l;
	c->down = true;
	c->cause = why;
}

/* Not the link's own deadline, which would log a line of its own. */
static void
on_late(void *arg)
{
	struct client *c = arg;

	c->down = true;
	c->cause = LINK_DEADLINE;
}

/* Reads what there is and hands it to the link. */
static void
take_input(struct client *c)
{
	struct imsg imsg;
	int n;

	if ((n = imsgbuf_read(&c->ibuf)) != 1) {
		link_eof(c->link);
		return;
	}
	while (!c->over && !c->down && (n = imsgbuf_get(&c->ibuf, &imsg)) ==
	    1)
		link_input_imsg(c->link, &imsg);
	if (n == -1)
		link_eof(c->link);
}

/* Until an answer has come or none will. */
static void
turn(struct client *c)
{
	struct pollfd pfd;
	uint64_t now, next;
	int ms;

	while (!c->answered && !c->down) {
		env_run(c->env);
		if (c->answered || c->down)
			break;
		if (!c->over && imsgbuf_write(&c->ibuf) == -1)
			link_eof(c->link);
		now = env_now(c->env);
		next = env_next(c->env);
		ms = next == ENV_NEVER ? -1 : next <= now ? 0 :
		    (int)((next - now) / US_PER_MS + 1);
		pfd.fd = c->over ? -1 : c->fd;
		pfd.events = POLLIN;
		if (imsgbuf_queuelen(&c->ibuf) > 0)
			pfd.events |= POLLOUT;
		if (poll(&pfd, 1, ms) > 0 && (pfd.revents & ~POLLOUT) != 0)
			take_input(c);
	}
}

/* Opening. */

/* Who may use it, as far as the file system tells us. */
static void
say_denied(const char *path, char *why, size_t whylen)
{
	const struct group *gr = NULL;
	struct stat st;

	if (stat(path, &st) == 0)
		gr = getgrgid(st.st_gid);
	(void)snprintf(why, whylen, "%s: permission denied: become root or a "
	    "member of the group %s", path, gr == NULL || st.st_gid == 0 ?
	    "_headscaled" : gr->gr_name);
}

static int
say_errno(const char *path, char *why, size_t whylen)
{
	switch (errno) {
	case ENOENT:
		(void)snprintf(why, whylen, "%s: no such socket: does "
		    "headscaled run? -s names another one", path);
		break;
	case ECONNREFUSED:
		(void)snprintf(why, whylen, "%s: nobody listens: headscaled "
		    "does not run", path);
		break;
	case EAGAIN:
		(void)snprintf(why, whylen, "headscaled does not answer");
		break;
	case EACCES:
	case EPERM:
		say_denied(path, why, whylen);
		break;
	default:
		(void)snprintf(why, whylen, "%s: %s", path, strerror(errno));
		break;
	}
	return -1;
}

/* Connecting waits where too many do already. */
static int
open_socket(const char *path, char *why, size_t whylen)
{
	struct timeval tv = { HELLO_S, 0 };
	struct sockaddr_un sun;
	int fd;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return say_errno(path, why, whylen);
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1)
		return say_errno(path, why, whylen);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0 &&
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	(void)say_errno(path, why, whylen);
	(void)close(fd);
	return -1;
}

static void
say_cause(struct client *c, bool hello, char *why, size_t whylen)
{
	if (c->cause == LINK_DEADLINE)
		(void)snprintf(why, whylen, "headscaled does not answer");
	else if (hello || c->cause != LINK_EOF)
		(void)snprintf(why, whylen, "headscaled does not understand "
		    "this headscalectl, or has too many connections: is it of "
		    "the same version?");
	else
		(void)snprintf(why, whylen, "headscaled ended the connection "
		    "before it answered: see its log");
}

/* Seconds for the answer. */
static unsigned int
limit_of(const struct msg *m)
{
	switch (m->type) {
	case M_CTL_STATUS:
	case M_CTL_VERBOSE:
	case M_CTL_DERP_LIST:
	case M_CTL_CERT_LIST:
		return STATE_S;
	case M_CTL_POLICY_SET:
	case M_CTL_POLICY_CHECK:
	case M_CTL_POLICY_DIFF:
	case M_CTL_POLICY_WHY:
	case M_CTL_POLICY_ROLLBACK:
	case M_CTL_RELOAD:
		return LONG_S;
	default:
		return ANSWER_S;
	}
}

/* Nothing is other than before when it was answered. */
static bool
only_asks(const struct msg *m)
{
	switch (m->type) {
	case M_CTL_USER_LIST:
	case M_CTL_KEY_LIST:
	case M_CTL_NODE_LIST:
	case M_CTL_STATUS:
	case M_CTL_DERP_LIST:
	case M_CTL_CERT_LIST:
	case M_CTL_POLICY_CHECK:
	case M_CTL_POLICY_DIFF:
	case M_CTL_POLICY_WHY:
	case M_CTL_POLICY_GET:
	case M_CTL_POLICY_HISTORY:
		return true;
	case M_CTL_EXPOSURE:
		return !m->u.ctl_exposure.revoke;
	default:
		return false;
	}
}

static void
say_lost(struct client *c, const struct msg *m, char *why, size_t whylen)
{
	if (c->cause == LINK_DEADLINE)
		(void)snprintf(why, whylen, "headscaled did not answer within "
		    "%u s%s", limit_of(m), only_asks(m) ? "" :
		    "; what it was told to do may still be done");
	else
		say_cause(c, false, why, whylen);
}

static int
call(struct client *c, const struct msg *m, unsigned int seconds)
{
	c->answered = false;
	timer_in(&c->deadline, seconds * US_PER_S);
	(void)link_request(c->link, m, c, 0);
	turn(c);
	timer_stop(&c->deadline);
	return c->answered ? 0 : -1;
}

void
client_send(struct client *c, const struct msg *m)
{
	if (!c->down && !c->over)
		link_send(c->link, m);
}

int
client_call(struct client *c, const struct msg *m,
    void (*fn)(const struct msg *, void *), void *arg, char *why,
    size_t whylen)
{
	int rc = -1;

	c->fn = fn;
	c->arg = arg;
	if (!c->down && !c->over)
		rc = call(c, m, limit_of(m));
	if (rc == -1)
		say_lost(c, m, why, whylen);
	c->fn = NULL;
	return rc;
}

static void
on_hello(const struct msg *m, void *arg)
{
	struct client *c = arg;

	c->welcome = m->type == M_CTL_OK;
	if (m->type == M_CTL_NO)
		(void)slice_copy(c->refusal, sizeof(c->refusal),
		    m->u.ctl_no.text);
}

static int
say_hello(struct client *c, char *why, size_t whylen)
{
	struct msg m;

	msg_init(&m, M_CTL_HELLO);
	m.u.ctl_hello.table = MSG_TABLE_SUM;
	c->fn = on_hello;
	c->arg = c;
	if (call(c, &m, HELLO_S) == -1) {
		say_cause(c, true, why, whylen);
		return -1;
	}
	if (!c->welcome) {
		(void)strlcpy(why, c->refusal, whylen);
		return -1;
	}
	link_set_state(c->link, MSG_RUN);
	return 0;
}

struct client *
client_open(const char *path, char *why, size_t whylen)
{
	struct link_conf conf;
	struct client *c;
	int fd;

	(void)signal(SIGPIPE, SIG_IGN);
	if ((fd = open_socket(path, why, whylen)) == -1)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	c->env = env_new(&real_ops, c);
	timer_init(&c->deadline, c->env, on_late, c);
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_CTL;
	conf.self = ROLE_CTL;
	conf.peer = ROLE_DBD;
	conf.on_msg = on_msg;
	conf.on_down = on_down;
	conf.arg = c;
	c->link = link_new(c->env, &conf, &client_io, c);
	if (imsgbuf_init(&c->ibuf, fd) == -1 ||
	    imsgbuf_set_maxsize(&c->ibuf, MSG_MAX) == -1 ||
	    say_hello(c, why, whylen) == -1) {
		client_close(c);
		return NULL;
	}
	return c;
}

void
client_close(struct client *c)
{
	if (c == NULL)
		return;
	link_free(c->link);
	imsgbuf_clear(&c->ibuf);
	(void)close(c->fd);
	env_free(c->env);
	free(c);
}
