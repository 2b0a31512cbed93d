// Package match decides whether a record fits an expression, in three values: yes, no and could not look.
package match

// Truth is the outcome of an expression. The unknown ones are ordered: where several meet, the greatest is the reason.
type Truth uint8

const (
	No Truth = iota
	Yes
	UnknownKept
	UnknownPlace
	UnknownLimit
	UnknownRights
	UnknownError
)

// Unknown says whether the answer could not be had.
func (t Truth) Unknown() bool { return t > Yes }

// Reason is the code of an unknown truth, "" for yes and no.
func (t Truth) Reason() string {
	switch t {
	case UnknownKept:
		return "not_kept"
	case UnknownPlace:
		return "not_entered"
	case UnknownLimit:
		return "limit"
	case UnknownRights:
		return "needs_root"
	case UnknownError:
		return "error"
	}
	return ""
}

// unknown maps a reason of collect.Reason; a code of its own making counts as an error.
func unknown(reason string) Truth {
	switch reason {
	case "not_entered":
		return UnknownPlace
	case "limit":
		return UnknownLimit
	case "needs_root":
		return UnknownRights
	}
	return UnknownError
}

// Both is `and`.
func Both(a, b Truth) Truth {
	if a == No || b == No {
		return No
	}
	return max(a, b)
}

func truth(b bool) Truth {
	if b {
		return Yes
	}
	return No
}
