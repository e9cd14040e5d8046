/*
 * One node for scenarios, over a real socket to 127.0.0.1:
 *
 *	joiner PORT SERVERKEY AUTHKEY HOSTNAME [NODEKEY]
 *
 * registers (SERVERKEY is the hex of /key; NODEKEY that of a public key, else
 * one is drawn), opens a map stream and prints a
 * line for what comes: "registered", "refused TEXT", "map", "keepalive",
 * "change JSON".  Ends when its connection does, with "gone WHY".
 */

#include <sys/socket.h>

#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "common/enc.h"
#include "common/ev.h"
#include "regress/lib/h2_client.h"

#define CAPVER		131
#define ALIVE_MAX	32	/* {"KeepAlive": true} */

struct joiner {
	struct ev	*ev;
	struct ev_fd	*event;
	int		 fd;
	struct h2_client *h2;
	const char	*auth_key;
	const char	*hostname;
	char		 node_key[80];
	char		 disco[80];
	int32_t		 reg;		/* streams; 0: not yet */
	int32_t		 map;
	bool		 mapped;
	struct buf	 got;
};

static void
gone(const char *why)
{
	printf("gone %s\n", why);
	exit(1);
}

static void
ask_register(struct joiner *j)
{
	struct buf b = { NULL, 0, 0 };

	buf_printf(&b, "{\"Version\":%u,\"NodeKey\":\"%s\",\"Auth\":"
	    "{\"AuthKey\":\"%s\"},\"Hostinfo\":{\"OS\":\"linux\","
	    "\"Hostname\":\"%s\"}}", CAPVER, j->node_key, j->auth_key,
	    j->hostname);
	j->reg = h2_client_request(j->h2, "POST", "/machine/register", NULL,
	    b.p, b.n);
	buf_free(&b);
}

static void
ask_map(struct joiner *j)
{
	struct buf b = { NULL, 0, 0 };

	buf_printf(&b, "{\"Version\":%u,\"Compress\":\"zstd\","
	    "\"KeepAlive\":true,\"NodeKey\":\"%s\","
	    "\"DiscoKey\":\"%s\",\"Endpoints\":[\"192.0.2.1:41641\"],"
	    "\"Stream\":true,\"Hostinfo\":{\"OS\":\"linux\","
	    "\"Hostname\":\"%s\"}}", CAPVER, j->node_key, j->disco,
	    j->hostname);
	j->map = h2_client_request(j->h2, "POST", "/machine/map", NULL, b.p,
	    b.n);
	buf_free(&b);
}

static void
on_message(struct joiner *j, const uint8_t *packed, size_t npacked)
{
	static char p[1 << 20];
	size_t n = ZSTD_decompress(p, sizeof(p), packed, npacked);

	if (ZSTD_isError(n))
		gone("a message that is not zstd");
	if (!j->mapped)
		printf("map\n");
	else if (n < ALIVE_MAX && memmem(p, n, "KeepAlive", 9) != NULL)
		printf("keepalive\n");
	else
		printf("change %.*s\n", (int)n, p);
	j->mapped = true;
}

static void
on_data(struct h2_client *h2, int32_t stream, const void *p, size_t n,
    void *arg)
{
	struct joiner *j = arg;
	const uint8_t *b;
	size_t len;

	(void)h2;
	(void)stream;
	buf_put(&j->got, p, n);
	while (stream == j->map && j->got.n >= 4) {
		b = j->got.p;
		len = b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 |
		    (size_t)b[3] << 24;
		if (j->got.n < 4 + len)
			break;
		on_message(j, b + 4, len);
		buf_drain(&j->got, 4 + len);
	}
}

static void
on_end(struct h2_client *h2, int32_t stream, uint32_t error, void *arg)
{
	static const char no[] = "\"Error\":\"";
	struct joiner *j = arg;
	const char *at;

	(void)h2;
	if (stream == j->map || error != 0)
		gone("the stream ended");
	buf_u8(&j->got, 0);
	at = strstr((const char *)j->got.p, no);
	if (at != NULL && at[sizeof(no) - 1] != '"') {
		printf("refused %s\n", at + sizeof(no) - 1);
		exit(1);
	}
	buf_clear(&j->got);
	printf("registered\n");
	ask_map(j);
}

static void
flush(struct joiner *j)
{
	uint8_t b[16384];
	size_t n, at;
	ssize_t k;

	while ((n = h2_client_output(j->h2, b, sizeof(b))) > 0)
		for (at = 0; at < n; at += (size_t)k)
			if ((k = write(j->fd, b + at, n - at)) == -1)
				gone(strerror(errno));
}

static void
on_ready(int fd, unsigned int events, void *arg)
{
	struct joiner *j = arg;
	uint8_t b[16384];
	ssize_t n;

	(void)events;
	if ((n = read(fd, b, sizeof(b))) <= 0)
		gone(n == 0 ? "the server closed" : strerror(errno));
	h2_client_input(j->h2, b, (size_t)n);
	if (h2_client_state(j->h2) == H2C_DEAD)
		gone(h2_client_why(j->h2));
	if (h2_client_state(j->h2) == H2C_OPEN && j->reg == 0)
		ask_register(j);
	flush(j);
}

static void
dial(struct joiner *j, const char *port)
{
	struct sockaddr_in to;
	const char *why;

	memset(&to, 0, sizeof(to));
	to.sin_family = AF_INET;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)strtonum(port, 1, 65535, &why));
	if (why != NULL)
		errx(2, "port is %s: %s", why, port);
	if ((j->fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(j->fd, (const struct sockaddr *)&to, sizeof(to)) == -1)
		gone(strerror(errno));
}

static void
key_text(struct joiner *j, char *dst, size_t n, const char *prefix)
{
	uint8_t key[KEY_LEN];
	size_t at;

	env_random(ev_env(j->ev), key, sizeof(key));
	at = strlcpy(dst, prefix, n);
	hex_enc(dst + at, key, sizeof(key));
}

int
main(int argc, char **argv)
{
	struct h2_client_conf conf;
	struct joiner j;

	if (argc != 5 && argc != 6)
		errx(2, "usage: joiner PORT SERVERKEY AUTHKEY HOSTNAME "
		    "[NODEKEY]");
	memset(&conf, 0, sizeof(conf));
	memset(&j, 0, sizeof(j));
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (!hex_dec(conf.server, sizeof(conf.server), slice_str(argv[2])))
		errx(2, "no key: %s", argv[2]);
	if (noise_init() == -1)
		errx(1, "no noise");
	j.ev = ev_new();
	j.auth_key = argv[3];
	j.hostname = argv[4];
	key_text(&j, j.node_key, sizeof(j.node_key), "nodekey:");
	if (argc == 6)
		(void)snprintf(j.node_key, sizeof(j.node_key), "nodekey:%s",
		    argv[5]);
	key_text(&j, j.disco, sizeof(j.disco), "discokey:");
	env_random(ev_env(j.ev), conf.machine, sizeof(conf.machine));
	noise_clamp(conf.machine);
	conf.capver = CAPVER;
	conf.on_data = on_data;
	conf.on_end = on_end;
	conf.arg = &j;
	dial(&j, argv[1]);
	j.h2 = h2_client_new(ev_env(j.ev), &conf);
	j.event = ev_fd_add(j.ev, j.fd, EV_F_READ, on_ready, &j);
	flush(&j);
	ev_run(j.ev, NULL, NULL);
	return 0;
}
