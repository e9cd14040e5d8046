/*
 * Logins at a DERP relay for scenarios whose client is no program of ours (a
 * browser, a script), and a client that they may talk to.  Keys are hex.
 *
 *	derphello new				prints "PRIVATE PUBLIC"
 *	derphello info RELAYKEY PRIVATE [JSON]	prints a ClientInfo frame
 *	derphello open RELAYKEY PRIVATE HEX	prints the JSON of a ServerInfo
 *						frame's payload
 *	derphello echo PORT PRIVATE [CA HOST]	logs in at 127.0.0.1, over TLS
 *		if it is told whom to trust for which name; says "up", and
 *		returns every packet to its sender until the relay closes;
 *		then "gone N" with the number of these
 */

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <sodium.h>

#include "common/buf.h"
#include "common/compat/compat.h"
#include "common/enc.h"

#define KEY		32
#define NONCE		24
#define TAG		16
#define HEAD		5
#define SERVER_KEY	1
#define CLIENT_INFO	2
#define SERVER_INFO	3
#define SEND_PACKET	4
#define RECV_PACKET	5
#define PING		18
#define PONG		19
#define FRAME_MAX	(1 << 20)
#define INFO		"{\"version\":2,\"CanAckPings\":true}"

struct client {
	int		 fd;
	SSL		*ssl;		/* NULL: plain */
	uint8_t		 priv[KEY];
	uint8_t		 relay[KEY];
	uint8_t		 frame[HEAD + FRAME_MAX];
	size_t		 n;		/* of its payload */
};

static void
key_arg(uint8_t key[KEY], const char *text)
{
	if (!hex_dec(key, KEY, slice_str(text)))
		errx(2, "%s: not a key", text);
}

static void
say_hex(const uint8_t *p, size_t n, char end)
{
	while (n-- != 0)
		printf("%02x", *p++);
	(void)putchar(end);
}

static void
put_info(struct buf *b, const uint8_t relay[KEY], const uint8_t priv[KEY],
    const char *json)
{
	uint8_t nonce[NONCE], pub[KEY];
	size_t n = strlen(json);

	(void)crypto_scalarmult_base(pub, priv);
	randombytes_buf(nonce, sizeof(nonce));
	buf_u8(b, CLIENT_INFO);
	buf_u32(b, (uint32_t)(KEY + NONCE + TAG + n));
	buf_put(b, pub, KEY);
	buf_put(b, nonce, NONCE);
	if (crypto_box_easy(buf_room(b, TAG + n), (const uint8_t *)json, n,
	    nonce, relay, priv) != 0)
		errx(1, "the relay's key is weak");
	b->n += TAG + n;
}

static void
cmd_new(void)
{
	uint8_t pub[KEY], priv[KEY];

	(void)crypto_box_keypair(pub, priv);
	say_hex(priv, KEY, ' ');
	say_hex(pub, KEY, '\n');
}

static void
cmd_info(char **argv, const char *json)
{
	struct buf b = { 0 };
	uint8_t relay[KEY], priv[KEY];

	key_arg(relay, argv[0]);
	key_arg(priv, argv[1]);
	put_info(&b, relay, priv, json);
	say_hex(b.p, b.n, '\n');
	buf_free(&b);
}

static void
cmd_open(char **argv)
{
	uint8_t relay[KEY], priv[KEY], p[1024], text[1024];
	size_t n = strlen(argv[2]) / 2;

	key_arg(relay, argv[0]);
	key_arg(priv, argv[1]);
	if (n < NONCE + TAG || n > sizeof(p) ||
	    !hex_dec(p, n, slice_str(argv[2])))
		errx(1, "not the payload of a ServerInfo");
	if (crypto_box_open_easy(text, p + NONCE, n - NONCE, p, relay,
	    priv) != 0)
		errx(1, "it does not open");
	printf("%.*s\n", (int)(n - NONCE - TAG), (const char *)text);
}

/* The client. */

static size_t
some(struct client *c, uint8_t *p, size_t n)
{
	ssize_t k;

	if (c->ssl != NULL)
		k = SSL_read(c->ssl, p, (int)n);
	else
		k = read(c->fd, p, n);
	return k > 0 ? (size_t)k : 0;
}

static bool
take(struct client *c, uint8_t *p, size_t n)
{
	size_t k;

	for (; n != 0; p += k, n -= k)
		if ((k = some(c, p, n)) == 0)
			return false;
	return true;
}

static bool
give(struct client *c, const uint8_t *p, size_t n)
{
	ssize_t k;

	for (; n != 0; p += k, n -= (size_t)k) {
		if (c->ssl != NULL)
			k = SSL_write(c->ssl, p, (int)n);
		else
			k = write(c->fd, p, n);
		if (k <= 0)
			return false;
	}
	return true;
}

/* The next frame; its type, or -1 at the end. */
static int
next_frame(struct client *c)
{
	const uint8_t *p = c->frame;

	if (!take(c, c->frame, HEAD))
		return -1;
	c->n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 |
	    p[4];
	if (c->n > FRAME_MAX)
		errx(1, "a frame of %zu octets", c->n);
	return take(c, c->frame + HEAD, c->n) ? p[0] : -1;
}

static void
start_tls(struct client *c, const char *ca, const char *host)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char name[256];

	if (ctx == NULL || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		errx(1, "%s: no certificates", ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	(void)strlcpy(name, host, sizeof(name));
	if ((c->ssl = SSL_new(ctx)) == NULL ||
	    SSL_set1_host(c->ssl, name) != 1 ||
	    SSL_set_tlsext_host_name(c->ssl, name) != 1 ||
	    SSL_set_fd(c->ssl, c->fd) != 1)
		errx(1, "TLS");
	if (SSL_connect(c->ssl) != 1)
		errx(1, "TLS: no handshake: %s", X509_verify_cert_error_string(
		    SSL_get_verify_result(c->ssl)));
	SSL_CTX_free(ctx);
}

static void
dial(struct client *c, const char *port)
{
	struct sockaddr_in to;
	const char *why;
	int on = 1;

	memset(&to, 0, sizeof(to));
	to.sin_family = AF_INET;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)strtonum(port, 1, 65535, &why));
	if (why != NULL)
		errx(2, "port is %s: %s", why, port);
	if ((c->fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) == -1)
		err(1, "port %s", port);
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void
login(struct client *c)
{
	static const char ask[] = "GET /derp HTTP/1.1\r\nHost: derp\r\n"
	    "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n";
	struct buf b = { 0 };
	char head[2048];
	size_t n = 0;

	if (!give(c, (const uint8_t *)ask, sizeof(ask) - 1))
		errx(1, "no request");
	while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)
		if (n == sizeof(head) || !take(c, (uint8_t *)head + n++, 1))
			errx(1, "no answer");
	if (memcmp(head, "HTTP/1.1 101", 12) != 0)
		errx(1, "%.12s", head);
	if (next_frame(c) != SERVER_KEY || c->n < 8 + KEY)
		errx(1, "no ServerKey");
	memcpy(c->relay, c->frame + HEAD + 8, KEY);
	put_info(&b, c->relay, c->priv, INFO);
	if (!give(c, b.p, b.n) || next_frame(c) != SERVER_INFO)
		errx(1, "not let in");
	buf_free(&b);
}

/* The frame that came is the one that goes, but for its type. */
static void
cmd_echo(int argc, char **argv)
{
	static struct client c;
	unsigned long n = 0;
	int type;

	key_arg(c.priv, argv[1]);
	dial(&c, argv[0]);
	if (argc == 4)
		start_tls(&c, argv[2], argv[3]);
	login(&c);
	printf("up\n");
	while ((type = next_frame(&c)) != -1) {
		if (type != RECV_PACKET && type != PING)
			continue;
		c.frame[0] = type == PING ? PONG : SEND_PACKET;
		if (!give(&c, c.frame, HEAD + c.n))
			break;
		n += type == RECV_PACKET;
	}
	printf("gone %lu\n", n);
}

int
main(int argc, char **argv)
{
	const char *what = argc < 2 ? "" : argv[1];

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (sodium_init() == -1)
		errx(1, "libsodium");
	argc -= 2;
	argv += 2;
	if (strcmp(what, "new") == 0 && argc == 0)
		cmd_new();
	else if (strcmp(what, "info") == 0 && (argc == 2 || argc == 3))
		cmd_info(argv, argc == 3 ? argv[2] : INFO);
	else if (strcmp(what, "open") == 0 && argc == 3)
		cmd_open(argv);
	else if (strcmp(what, "echo") == 0 && (argc == 2 || argc == 4))
		cmd_echo(argc, argv);
	else
		errx(2, "usage: derphello new | info RELAYKEY PRIVATE [JSON] "
		    "| open RELAYKEY PRIVATE HEX | "
		    "echo PORT PRIVATE [CA HOST]");
	return 0;
}
