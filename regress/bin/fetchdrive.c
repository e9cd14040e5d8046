/*
 * Drives headscaled-fetch as master, dbd and keyd together would: starts it,
 * sends it one request over OUT and answers what it asks for.
 *
 *	fetchdrive [-u UID] [-a PREFIX] ... PROGRAM FOLDER COMMAND ...
 *
 *	get URL MAX
 *	probe HOST PORT IP4 IP6 INSECURE
 *	issue DIRECTORY http-01|tls-alpn-01 NAME ...
 *	revoke DIRECTORY
 *
 * FOLDER is the chroot (-u, as root) or what is one without rights to have
 * it.  Keys, the account's URL and the chain are kept in the folder where it
 * is started; challenges are told to pebble-challtestsrv's port of
 * $CHALLTEST.  Last comes a line "ok ..." or "failed ...".
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include <openssl/pem.h>

#include "common/buf.h"
#include "common/compat/compat.h"
#include "common/ev.h"
#include "common/log.h"
#include "keyd/acme.h"

#define BODY_MAX	60000

struct drive {
	struct ev	*ev;
	struct link	*cfg;
	struct link	*out;
	pid_t		 pid;
	int		 out_fd;	/* the child's end */
	const char	*dir;
	uid_t		 uid;
	struct buf	 allow_octets;
	struct msg_list	 allow;
	int		 argc;
	char		**argv;
	struct acme	*acme;		/* keyd's */
	size_t		 got;
	unsigned int	 signs;
	unsigned int	 ups;
};

static const char *
text(struct slice s)
{
	static char ring[4][1100];
	static unsigned int at;
	char *p = ring[at++ % 4];

	(void)snprintf(p, sizeof(ring[0]), "%.*s", SLICE_FMT(s));
	return p;
}

/* Files of the folder that it is started in. */

static void
keep(const char *name, struct slice s)
{
	FILE *f;

	if ((f = fopen(name, "w")) == NULL ||
	    fwrite(s.p, 1, s.n, f) != s.n || fclose(f) != 0)
		err(1, "%s", name);
}

static size_t
kept(const char *name, char *dst, size_t max)
{
	size_t n = 0;
	FILE *f;

	if ((f = fopen(name, "r")) != NULL) {
		n = fread(dst, 1, max - 1, f);
		(void)fclose(f);
	}
	dst[n] = '\0';
	return n;
}

/* The challenge server. */

static void
tell(const char *path, const char *json)
{
	struct sockaddr_in sin;
	struct buf b = { 0 };
	char reply[64] = "";
	const char *port;
	size_t at = 0;
	ssize_t n;
	int fd;

	if ((port = getenv("CHALLTEST")) == NULL)
		errx(1, "CHALLTEST is not set");
	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_port = htons((uint16_t)strtonum(port, 1, 65535, NULL));
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	buf_printf(&b, "POST /%s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s",
	    path, strlen(json), json);
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    write(fd, b.p, b.n) != (ssize_t)b.n)
		err(1, "challenge server");
	while (at < sizeof(reply) - 1 &&
	    (n = read(fd, reply + at, sizeof(reply) - 1 - at)) > 0)
		at += (size_t)n;
	if (strstr(reply, " 200 ") == NULL)
		errx(1, "challenge server: %s", reply);
	(void)close(fd);
	buf_free(&b);
}

static void
answer_challenge(struct drive *d, const struct m_out_acme_challenge *m)
{
	bool http = strcmp(d->argv[2], "http-01") == 0;
	char json[1024], auth[512];

	(void)snprintf(auth, sizeof(auth), "%s.%s", text(m->token),
	    acme_thumbprint(d->acme));
	if (http)
		(void)snprintf(json, sizeof(json), m->up ?
		    "{\"token\":\"%s\",\"content\":\"%s\"}" :
		    "{\"token\":\"%s\"}", text(m->token), auth);
	else
		(void)snprintf(json, sizeof(json), m->up ?
		    "{\"host\":\"%s\",\"content\":\"%s\"}" :
		    "{\"host\":\"%s\"}", text(m->name), auth);
	tell(http ? m->up ? "add-http01" : "del-http01" :
	    m->up ? "add-tlsalpn01" : "del-tlsalpn01", json);
	printf("challenge %s %s\n", m->up ? "up" : "down", text(m->name));
	d->ups += m->up ? 1 : 0;
}

/* keyd's part, and dbd's. */

static EVP_PKEY *
key_of(const char *file)
{
	EVP_PKEY *k = NULL;
	FILE *f;

	if ((f = fopen(file, "r")) != NULL) {
		k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
		(void)fclose(f);
		if (k == NULL)
			errx(1, "%s: no key", file);
		return k;
	}
	k = acme_key_make();
	if ((f = fopen(file, "w")) == NULL ||
	    PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(f) != 0)
		err(1, "%s", file);
	return k;
}

/* The DER of a PEM text's first certificate. */
static void
leaf(const char *pem, struct buf *der)
{
	uint8_t *p = NULL;
	X509 *cert;
	BIO *bio;
	int n;

	if ((bio = BIO_new_mem_buf(pem, -1)) == NULL ||
	    (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) == NULL ||
	    (n = i2d_X509(cert, &p)) <= 0)
		errx(1, "no certificate");
	buf_put(der, p, (size_t)n);
	OPENSSL_free(p);
	X509_free(cert);
	BIO_free(bio);
}

static void
sign(struct drive *d, const struct msg *m)
{
	const struct m_out_acme_sign *s = &m->u.out_acme_sign;
	struct m_acme_sign want;
	struct buf b = { 0 };
	char why[256];
	struct msg r;

	memset(&want, 0, sizeof(want));
	want.form = s->form;
	want.url = s->url;
	want.nonce = s->nonce;
	want.account = s->account;
	want.der = s->der;
	if (acme_sign(d->acme, &want, &b, why, sizeof(why)) == -1) {
		msg_init(&r, M_OUT_ACME_NO);
		r.u.out_acme_no.text = slice_str(why);
	} else {
		msg_init(&r, M_OUT_ACME_SIGNED);
		r.u.out_acme_signed.body = buf_slice_of(&b);
	}
	r.id = m->id;
	link_reply(d->out, &r);
	buf_free(&b);
	d->signs++;
}

static void
end(struct drive *d, bool ok)
{
	int status;

	(void)fflush(stdout);
	link_free(d->out);
	link_free(d->cfg);	/* which ends the child */
	if (waitpid(d->pid, &status, 0) == -1)
		err(1, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		errx(1, "the child ended with status 0x%x", (unsigned)status);
	exit(ok ? 0 : 1);
}

static void
on_out(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct drive *d = arg;
	struct msg r;

	(void)l;
	(void)tag;
	switch (m->type) {
	case M_OUT_ACME_SIGN:
		sign(d, m);
		return;
	case M_OUT_ACME_CHALLENGE:
		answer_challenge(d, &m->u.out_acme_challenge);
		msg_init(&r, M_OUT_ACME_READY);
		r.id = m->id;
		link_reply(d->out, &r);
		return;
	case M_OUT_BODY:
		d->got += m->u.out_body.octets.n;
		return;
	case M_OUT_GOT:
		printf("ok %u octets\n", m->u.out_got.size);
		end(d, m->u.out_got.size == d->got);
		return;
	case M_OUT_FAILED:
		printf("failed status=%u %s\n", m->u.out_failed.status,
		    text(m->u.out_failed.text));
		break;
	case M_OUT_PROBED:
		if (m->u.out_probed.ok) {
			printf("ok %u us\n", m->u.out_probed.us);
			end(d, true);
		}
		printf("failed %s\n", text(m->u.out_probed.text));
		break;
	case M_OUT_ACME_OK:
		keep("account", m->u.out_acme_ok.account);
		if (m->u.out_acme_ok.chain.n > 0)
			keep("chain.pem", m->u.out_acme_ok.chain);
		printf("ok account=%s chain=%zu signatures=%u challenges=%u\n",
		    text(m->u.out_acme_ok.account),
		    m->u.out_acme_ok.chain.n, d->signs, d->ups);
		end(d, true);
		return;
	case M_OUT_ACME_FAILED:
		printf("failed account=%s retry=%u %s\n",
		    text(m->u.out_acme_failed.account),
		    m->u.out_acme_failed.retry_s,
		    text(m->u.out_acme_failed.text));
		break;
	default:
		errx(1, "unexpected %s", msg_name(m->type));
	}
	end(d, false);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	(void)l;
	(void)arg;
	errx(1, "the link is down: %s", link_why_text(why));
}

/* The request. */

static void
ask_acme(struct drive *d)
{
	static char account[1100], chain[BODY_MAX + 1];
	bool revoke = strcmp(d->argv[0], "revoke") == 0;
	struct buf names = { 0 }, der = { 0 };
	struct m_out_acme_run *run;
	struct r_acme conf;
	struct r_text name;
	char why[256];
	struct msg m;
	int i;

	(void)kept("account", account, sizeof(account));
	msg_init(&m, M_OUT_ACME_RUN);
	run = &m.u.out_acme_run;
	run->directory = slice_str(d->argv[1]);
	run->account = slice_str(account);
	run->challenge = revoke || strcmp(d->argv[2], "http-01") == 0 ? 1 : 2;
	for (i = revoke ? 1 : 3; i < d->argc; i++) {
		name.v = slice_str(revoke ? "none.example" : d->argv[i]);
		msg_list_add(&run->names, &names, MR_TEXT, &name);
	}
	msg_list_close(&run->names, &names);
	if (revoke) {
		(void)kept("chain.pem", chain, sizeof(chain));
		leaf(chain, &der);
		run->revoke = buf_slice_of(&der);
	}
	memset(&conf, 0, sizeof(conf));
	conf.directory = run->directory;
	conf.challenge = run->challenge;
	conf.names = run->names;
	d->acme = acme_new(key_of("account.pem"), key_of("key.pem"), &conf,
	    why, sizeof(why));
	if (d->acme == NULL)
		errx(1, "keyd: %s", why);
	(void)link_request(d->out, &m, NULL, 0);
	buf_free(&names);
	buf_free(&der);
}

static void
ask(struct drive *d)
{
	const char *what = d->argv[0];
	struct msg m;

	if (strcmp(what, "get") == 0 && d->argc == 3) {
		msg_init(&m, M_OUT_GET);
		m.u.out_get.url = slice_str(d->argv[1]);
		m.u.out_get.max = (uint32_t)strtonum(d->argv[2], 0, UINT32_MAX,
		    NULL);
	} else if (strcmp(what, "probe") == 0 && d->argc == 6) {
		msg_init(&m, M_OUT_PROBE);
		m.u.out_probe.host = slice_str(d->argv[1]);
		m.u.out_probe.port = (uint16_t)strtonum(d->argv[2], 0, 65535,
		    NULL);
		m.u.out_probe.ip4 = slice_str(d->argv[3]);
		m.u.out_probe.ip6 = slice_str(d->argv[4]);
		m.u.out_probe.insecure = strcmp(d->argv[5], "0") != 0;
	} else if ((strcmp(what, "issue") == 0 && d->argc > 3) ||
	    (strcmp(what, "revoke") == 0 && d->argc == 2)) {
		ask_acme(d);
		return;
	} else
		errx(2, "no such command: %s", what);
	(void)link_request(d->out, &m, NULL, 0);
}

/* Master's part. */

static void
on_cfg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct drive *d = arg;
	struct msg r;

	(void)tag;
	switch (m->type) {
	case M_CFG_STAGED:
		if (m->u.cfg_staged.ok)
			break;
		printf("failed %s\n", (const char *)m->u.cfg_staged.text);
		end(d, false);
		break;
	case M_CFG_READY:
		msg_init(&r, M_CFG_START);
		link_send(l, &r);
		link_set_state(l, MSG_RUN);
		ask(d);
		break;
	default:
		break;
	}
}

static void
boot(struct drive *d)
{
	struct msg m;

	msg_init(&m, M_CFG_BOOT);
	m.u.cfg_boot.role = ROLE_OUT;
	m.u.cfg_boot.generation = 1;
	m.u.cfg_boot.verbose = 1;
	m.u.cfg_boot.to_stderr = true;
	m.u.cfg_boot.drop = d->uid != 0;
	m.u.cfg_boot.uid = d->uid;
	m.u.cfg_boot.gid = d->uid;
	m.u.cfg_boot.dir = slice_str(d->dir);
	link_send(d->cfg, &m);
	msg_init(&m, M_CFG_CONF_OUT);
	m.u.cfg_conf_out.epoch = 1;
	m.u.cfg_conf_out.allow = d->allow;
	link_send(d->cfg, &m);
	msg_init(&m, M_CFG_LINK);
	m.u.cfg_link.link = LINK_OUT;
	m.u.cfg_link.role = ROLE_DBD;
	m.u.cfg_link.generation = 1;
	m.fd = d->out_fd;
	link_send(d->cfg, &m);
	msg_init(&m, M_CFG_STAGE);
	m.u.cfg_stage.epoch = 1;
	(void)link_request(d->cfg, &m, NULL, 0);
}

static void
start(struct drive *d, const char *program)
{
	char *const env[] = { NULL };
	char blanks[201], name[256];
	char *argv[3];
	struct link_conf conf = { .kind = LINK_CFG, .self = ROLE_MASTER,
	    .peer = ROLE_OUT, .on_msg = on_cfg, .on_down = on_down,
	    .arg = d };
	int cfg[2], out[2];

	memset(blanks, ' ', sizeof(blanks) - 1);
	blanks[200] = '\0';
	(void)strlcpy(name, program, sizeof(name));
	argv[0] = name;
	argv[1] = blanks;
	argv[2] = NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, cfg) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out) == -1 ||
	    (d->pid = fork()) == -1)
		err(1, "start");
	if (d->pid == 0) {
		if (dup2(cfg[1], 3) == -1)
			_exit(9);
		(void)execve(program, argv, env);
		_exit(9);
	}
	(void)close(cfg[1]);
	d->out_fd = out[1];
	d->cfg = ev_link(d->ev, &conf, cfg[0]);
	conf.kind = LINK_OUT;
	conf.self = ROLE_DBD;
	conf.on_msg = on_out;
	d->out = ev_link(d->ev, &conf, out[0]);
	link_set_state(d->out, MSG_RUN);
}

int
main(int argc, char **argv)
{
	static struct drive d;
	struct r_route r;
	int ch;

	while ((ch = getopt(argc, argv, "+a:u:")) != -1)
		switch (ch) {
		case 'a':
			if (!prefix_parse(&r.v, slice_str(optarg)))
				errx(2, "no prefix: %s", optarg);
			msg_list_add(&d.allow, &d.allow_octets, MR_ROUTE, &r);
			break;
		case 'u':
			d.uid = (uid_t)strtonum(optarg, 1, 65534, NULL);
			break;
		default:
			return 2;
		}
	argc -= optind;
	argv += optind;
	if (argc < 3)
		errx(2, "usage: fetchdrive [-u uid] [-a prefix] "
		    "program folder command ...");
	msg_list_close(&d.allow, &d.allow_octets);
	log_init("fetchdrive", STDERR_FILENO, false, 0);
	d.dir = argv[1];
	d.argc = argc - 2;
	d.argv = argv + 2;
	d.ev = ev_new();
	start(&d, argv[0]);
	boot(&d);
	ev_run(d.ev, NULL, NULL);
	return 1;
}
