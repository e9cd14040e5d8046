/*
 * A whole server for tests, on the simulator's host: real supervision, keyd,
 * dbd with its store on the simulator's disk, and two workers, joined by
 * wires.  Before it stand clients whose every octet the test decides.
 */

#ifndef REGRESS_LIB_SERVER_H
#define REGRESS_LIB_SERVER_H

#include "common/enc.h"
#include "regress/lib/h2_client.h"
#include "regress/lib/mapview.h"
#include "regress/sim/admin.h"
#include "regress/sim/host.h"

struct server;

struct server_conf {
	uint32_t	 grace_ms;
	uint32_t	 ephemeral_s;
	uint32_t	 overload_ms;
	uint64_t	 link_us;	/* delay of every message on a link */
	bool		 no_derpmap;
};

/*
 * Serving, with user "alice" and a DERP map of one region.  conf NULL: grace
 * 10 s, ephemeral 120 s, overload 5 s, links 20 us.  Never NULL.
 */
struct server	*server_new(const struct server_conf *);
/* Frees all clients too.  How many promises of the simulator were broken. */
unsigned int	 server_free(struct server *);
/* Time passes. */
void		 server_pass(struct server *, uint64_t us);
uint64_t	 server_now(struct server *);
int64_t		 server_wall(struct server *);
struct host	*server_host(struct server *);
struct admin	*server_admin(struct server *);
/* A worker's core, or NULL while it is down. */
struct control	*server_control(struct server *, unsigned int slot);
/* For keys and other draws of the test. */
struct env	*server_env(struct server *);
/* Kills the process of a role; its successor comes by itself. */
void		 server_kill(struct server *, enum role, unsigned int slot);
/* SIGKILL of master, then a new start. */
void		 server_restart(struct server *);
/* Loads a DERP map into all workers; false if it is bad. */
bool		 server_derpmap(struct server *, const char *json);
/* An auth key of alice, in a static buffer. */
const char	*server_key(struct server *, bool reusable, bool ephemeral);
/* One node as dbd tells of it; false if there is no node with this key. */
bool		 server_node(struct server *, const char *node_key,
		    struct truth *);
bool		 server_delete(struct server *, uint64_t node);
/* An administrator approves these routes of the node; false if refused. */
bool		 server_approve(struct server *, uint64_t node,
		    const struct msg_list *routes);

/* A connection: raw octets, or a client (then client is not NULL). */
struct tcp {
	struct server	*s;
	struct conn	*conn;		/* NULL: closed */
	struct h2_client *client;
	unsigned int	 slot;
	struct buf	 to;		/* raw: to the server */
	struct buf	 from;		/* raw: all that came */
	bool		 closed;	/* by the server, or its worker died */
	bool		 stuck;		/* takes nothing */
	size_t		 piece;		/* octets a read; 0: all */
	struct ask	*asks;
	struct tcp	*next;
	unsigned int	 events;	/* of the world, that point here */
	bool		 moving;
	bool		 freed;
};

/* slot 0: any.  NULL if nobody accepts. */
struct tcp	*tcp_raw(struct server *, unsigned int slot);
/* A client's; keys and version from conf, its callbacks are ours. */
struct tcp	*tcp_client(struct server *, unsigned int slot,
		    const uint8_t machine[32], uint16_t capver);
/* The same, and its session is open.  NULL if that fails. */
struct tcp	*tcp_open(struct server *, unsigned int slot,
		    const uint8_t machine[32], uint16_t capver);
/* Raw octets; they leave when time passes. */
void		 tcp_send(struct tcp *, const void *, size_t);
void		 tcp_str(struct tcp *, const char *);
/* There is something to be moved (after changes by hand). */
void		 tcp_kick(struct tcp *);
/* The client closes it. */
void		 tcp_close(struct tcp *);
/* What has come holds text. */
bool		 tcp_has(const struct tcp *, const char *text);

/* A request on a connection and its answer so far. */
struct ask {
	struct ask	*next;
	struct tcp	*tcp;
	int32_t		 id;		/* the stream */
	unsigned int	 status;	/* 0: no head yet */
	char		 retry_after[32];	/* "" if none */
	struct buf	 fields;	/* "name: value\n" */
	struct buf	 body;		/* unless it is a map */
	bool		 ended;
	uint32_t	 error;		/* RST_STREAM's code */
	uint64_t	 head_at;
	uint64_t	 end_at;
	/* Of map streams: */
	struct mapview	*view;
	char		**msg;		/* JSON of each message */
	uint64_t	*msg_at;
	size_t		 nmsg;
	char		 fault[500];	/* what a client would refuse */
	struct buf	 in;
};

/* Sends it; fields: names and values in turn, NULL at the end, or NULL. */
struct ask	*ask_send(struct tcp *, const char *method, const char *path,
		    const char *const *fields, const void *body, size_t n);
/* Lets time pass until it has ended, at most so long; whether it has. */
bool		 ask_wait(struct ask *, uint64_t us);
/* ask_send() and ask_wait() of 20 s; the status, 0 if none came. */
unsigned int	 ask_status(struct tcp *, const char *method,
		    const char *path, const void *body, size_t n);
/* The body as text, in a static buffer. */
const char	*ask_text(const struct ask *);
bool		 ask_field(const struct ask *, const char *line);
/* The body is a map stream of this node from now on. */
void		 ask_map(struct ask *, uint64_t self);
/* Number of messages among those from first on that hold text. */
size_t		 ask_count(const struct ask *, size_t first,
		    const char *text);
/* Waits until a message from first on holds text; NULL if none came. */
const char	*ask_until(struct ask *, size_t first, const char *text,
		    uint64_t us);

/* A device: its keys and what it says of itself. */
struct dev {
	struct server	*s;
	struct dev	*next;
	uint8_t		 machine[32];
	char		 node_key[KEY_TEXT];
	char		 old_key[KEY_TEXT];	/* "": none */
	char		 disco[KEY_TEXT];
	char		 host[64];
	char		 auth[256];		/* "": none */
	const char	*endpoints;		/* JSON elements, borrowed */
	const char	*extra;			/* more of Hostinfo, or NULL */
	const char	*expiry;
	unsigned int	 derp;			/* 0: no NetInfo */
	uint16_t	 capver;
	unsigned int	 slot;			/* worker; 0: any */
	bool		 ephemeral;
	uint64_t	 id;			/* once it has joined */
	struct tcp	*tcp;
	struct ask	*stream;
};

/* Freed with the server.  auth may be NULL. */
struct dev	*dev_new(struct server *, const char *host, const char *auth);
/* New keys, as after a rotation: the old one is kept as OldNodeKey. */
void		 dev_rotate(struct dev *);
void		 dev_new_disco(struct dev *);
/* Its bodies, to be sent or changed. */
void		 dev_reg_body(const struct dev *, struct buf *);
void		 dev_map_body(const struct dev *, struct buf *, bool stream,
		    bool omit_peers);
/* Its connection, made if there is none; NULL if that fails. */
struct tcp	*dev_tcp(struct dev *);
/* The connection breaks. */
void		 dev_drop(struct dev *);
/* Registers; the ended request. */
struct ask	*dev_register(struct dev *);
/* The Error text of the answer, "" if none, in a static buffer. */
const char	*dev_refusal(const struct ask *);
/* Registers and notes its id; false if it was refused. */
bool		 dev_login(struct dev *);
/* A lite update; the ended request. */
struct ask	*dev_lite(struct dev *);
/* Opens its stream and waits for the first message; false if none came. */
bool		 dev_stream(struct dev *);
/* All three: login, stream, lite update. */
bool		 dev_join(struct dev *);
/* The first fault of any stream of any device, "" if none. */
const char	*server_fault(const struct server *);

/*
 * Replaces the first occurrence of from in b; the test fails by abort() if it
 * is not there.
 */
void		 body_change(struct buf *b, const char *from, const char *to);

#endif
