/*
 * approve.h
 *	  Who may say yes as a second person.
 */
#ifndef ZDU_APPROVE_H
#define ZDU_APPROVE_H

#include "api/api.h"

/*
 * ERROR if the policy wants a second person and the session is not one: it is
 * the one who began, or came through a pooled login, where nobody knows who it
 * is.  primary: "cannot approve ...".
 */
extern void zdu_require_second_person(const ZduCall *call, const char *primary);

/* True if the session acts under another role than it logged in with: a pooled login, as far as anybody can tell. */
extern bool zdu_login_is_pooled(Oid caller);

#endif							/* ZDU_APPROVE_H */
