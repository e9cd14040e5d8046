/* Numbers of users and nodes, as the server and its clients know them. */

#ifndef COMMON_IDS_H
#define COMMON_IDS_H

/* Clients keep ids in JSON numbers (protocol.md 2.2). */
#define ID_MAX		((1ULL << 53) - 1)

/*
 * The owner of all tagged nodes, as clients see it (protocol.md 2.4); on
 * links a tagged node's owner is 0.
 */
#define USER_TAGGED		ID_MAX
#define USER_TAGGED_LOGIN	"tagged-devices"
#define USER_TAGGED_NAME	"Tagged Devices"

/* DB_LITE_NO's status: to be asked again later. */
#define LITE_LATER		503

/* What a user is besides a member (policy.md 4.1: an owner is an admin too). */
enum user_role {
	USER_MEMBER = 0,
	USER_ADMIN = 1,
	USER_OWNER = 2
};

#endif
