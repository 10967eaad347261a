package wasip1

import "strings"

// The bounds of paths, of names in them, and of symbolic links on the way, which are those of Linux.
const (
	maxPath  = 4096
	maxName  = 255
	maxLinks = 40
)

// tree is a file system as paths lead through it: from node to node, one name at a time.
type tree[N any] interface {
	// child is what a directory holds under the name, or ENOENT. The name is neither empty, "." nor "..".
	child(directory N, name string) (N, error)
	fileType(node N) FileType
	// target is the path that a symbolic link stands for.
	target(link N) (string, error)
}

// pathEnd is where a path leads: the last name, and what is there.
type pathEnd[N any] struct {
	// directory is where the name is looked up.
	directory N
	// name may be "." or "..", which cannot be made, moved or removed.
	name string
	// slash says that one follows the name: it must be a directory.
	slash bool
	// node is only there if found is true.
	node  N
	found bool
}

// named says that the path ends in a name proper.
func (e pathEnd[N]) named() bool { return e.name != "." && e.name != ".." }

// following says which symbolic links at the end of a path are followed. Those on the way always are.
type following int

const (
	followNone following = iota
	// followNoSlash follows one that no slash follows: where something is created, a slash is an error in itself.
	followNoSlash
	followAll
)

// walker is on its way along a path.
type walker[N any] struct {
	tree tree[N]
	// trail are the directories from the start to here. ".." goes back on it and never past its first: whatever others do
	// to the tree meanwhile, nothing outside is reached.
	trail []N
	links int
}

// walk follows the path to its last name. That nothing is there is no error.
func walk[N any](t tree[N], start N, path string, follow following) (pathEnd[N], error) {
	w := walker[N]{tree: t, trail: []N{start}}
	if err := checkPath(path); err != nil {
		return pathEnd[N]{}, err
	}
	for rest := path; ; {
		name, after, slash := cutName(rest)
		end, err := w.look(name)
		if err != nil {
			return end, err
		}
		end.slash = slash
		last := after == ""
		followed := !last || follow == followAll || follow == followNoSlash && !slash
		switch {
		case followed && end.found && t.fileType(end.node) == TypeSymbolicLink:
			if rest, err = w.target(end.node); err != nil {
				return end, err
			}
			if slash {
				rest += "/" + after
			}
		case last:
			return end, nil
		default:
			if err := w.enter(end); err != nil {
				return end, err
			}
			rest = after
		}
	}
}

// checkPath refuses what is no relative path.
func checkPath(path string) error {
	switch {
	case path == "":
		return ENOENT
	case len(path) > maxPath:
		return ENAMETOOLONG
	case path[0] == '/':
		return EPERM
	case strings.IndexByte(path, 0) >= 0:
		return EINVAL
	}
	return nil
}

// cutName splits the first name off a path; slash says that one follows it.
func cutName(path string) (name, after string, slash bool) {
	name, after, slash = strings.Cut(path, "/")
	return name, strings.TrimLeft(after, "/"), slash
}

func (w *walker[N]) here() N { return w.trail[len(w.trail)-1] }

// look finds what is under the name here.
func (w *walker[N]) look(name string) (pathEnd[N], error) {
	end := pathEnd[N]{directory: w.here(), name: name, found: true}
	switch name {
	case ".":
		end.node = w.here()
		return end, nil
	case "..":
		if len(w.trail) == 1 {
			return end, EPERM
		}
		end.node = w.trail[len(w.trail)-2]
		return end, nil
	}
	node, err := w.tree.child(w.here(), name)
	if err != nil && errnoOf(err) != ENOENT {
		return end, err
	}
	end.node, end.found = node, err == nil
	return end, nil
}

// enter goes on to the directory that was found.
func (w *walker[N]) enter(end pathEnd[N]) error {
	switch {
	case !end.found:
		return ENOENT
	case w.tree.fileType(end.node) != TypeDirectory:
		return ENOTDIR
	case end.name == "..":
		w.trail = w.trail[:len(w.trail)-1]
	case end.name != ".":
		w.trail = append(w.trail, end.node)
	}
	return nil
}

// target is the path to go on with from a symbolic link here.
func (w *walker[N]) target(link N) (string, error) {
	if w.links++; w.links > maxLinks {
		return "", ELOOP
	}
	path, err := w.tree.target(link)
	if err != nil {
		return "", err
	}
	return path, checkPath(path)
}

// find is what is at the path, which must be there. A slash at its end demands a directory, and follows a link to it.
func find[N any](t tree[N], start N, path string, follow bool) (N, error) {
	end, err := walk(t, start, path, followIf(follow || strings.HasSuffix(path, "/"), followAll))
	switch {
	case err != nil:
		return end.node, err
	case !end.found:
		return end.node, ENOENT
	case end.slash && t.fileType(end.node) != TypeDirectory:
		return end.node, ENOTDIR
	}
	return end.node, nil
}

func followIf(follow bool, which following) following {
	if follow {
		return which
	}
	return followNone
}

// vacant is a place at the path for something new that is no directory.
func vacant[N any](t tree[N], start N, path string) (pathEnd[N], error) {
	end, err := walk(t, start, path, followNone)
	switch {
	case err != nil:
		return end, err
	case end.found:
		return end, EEXIST
	case end.slash:
		return end, ENOENT
	}
	return end, nil
}

// findToOpen is what is to be opened; nothing is found only where it is to be created.
func findToOpen[N any](t tree[N], start N, path string, o OpenOptions) (pathEnd[N], error) {
	if o.Create && o.Directory {
		return pathEnd[N]{}, EINVAL
	}
	follow := followIf(o.Follow || strings.HasSuffix(path, "/"), followAll)
	if o.Create {
		follow = followIf(o.Follow && !o.Exclusive, followNoSlash)
	}
	end, err := walk(t, start, path, follow)
	if err != nil {
		return end, err
	}
	if o.Create {
		return end, createError(t, end, o)
	}
	if !end.found {
		return end, ENOENT
	}
	return end, openError(t, end, o)
}

// createError says what is wrong with the end of a path where a file may be created.
func createError[N any](t tree[N], end pathEnd[N], o OpenOptions) error {
	switch {
	case end.slash && end.named():
		return EISDIR
	case !end.found:
		return nil
	case o.Exclusive:
		return EEXIST
	case t.fileType(end.node) == TypeDirectory:
		return EISDIR
	}
	return openError(t, end, o)
}

// openError says what is wrong with opening what was found.
func openError[N any](t tree[N], end pathEnd[N], o OpenOptions) error {
	fileType := t.fileType(end.node)
	switch {
	case fileType == TypeDirectory && (o.Write || o.Truncate):
		return EISDIR
	case fileType == TypeSymbolicLink:
		return ELOOP
	case fileType != TypeDirectory && (o.Directory || end.slash):
		return ENOTDIR
	}
	return nil
}
