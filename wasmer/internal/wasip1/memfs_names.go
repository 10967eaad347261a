package wasip1

import "time"

// create makes a node and its first name, where the path has found nothing. The tree is locked, here and below.
func (m *MemFS) create(end pathEnd[*memNode], fileType FileType, linkTarget string, now time.Time) (*memNode, error) {
	if end.directory.names == 0 {
		return nil, ENOENT // it has been removed, and is only open still
	}
	node, err := m.newNode(fileType, linkTarget, now)
	if err == nil {
		node.names = 1
		m.enter(end.directory, end.name, node, now)
	}
	return node, err
}

// link gives a node one more name.
func (m *MemFS) link(node *memNode, end pathEnd[*memNode], now time.Time) error {
	switch {
	case end.directory.names == 0:
		return ENOENT
	case node.fileType == TypeDirectory:
		return EPERM
	}
	if err := m.nodes.take(1, m.MaxNodes); err != nil {
		return err
	}
	node.names++
	node.touch(now, false)
	m.enter(end.directory, end.name, node, now)
	return nil
}

// remove takes a name away.
func (m *MemFS) remove(end pathEnd[*memNode], now time.Time) {
	m.leave(end.directory, end.name, end.node, now)
	m.forget(end.node, now)
}

// enter adds an entry.
func (m *MemFS) enter(directory *memNode, name string, node *memNode, now time.Time) {
	directory.entries.add(name, node)
	if node.fileType == TypeDirectory {
		node.parent = directory
		directory.directories++
	}
	directory.touch(now, true)
}

// leave drops an entry.
func (m *MemFS) leave(directory *memNode, name string, node *memNode, now time.Time) {
	directory.entries.remove(name)
	if node.fileType == TypeDirectory {
		node.parent = nil
		directory.directories--
	}
	directory.touch(now, true)
}

// forget counts a name less.
func (m *MemFS) forget(node *memNode, now time.Time) {
	node.names--
	node.touch(now, false)
	if node.names > 0 {
		m.nodes.give(1)
	}
	m.release(node)
}

// rename moves a name, in place of what the new one stands for.
func (m *MemFS) rename(from, to pathEnd[*memNode], now time.Time) error {
	if err := m.renameError(from, to); err != nil {
		return err
	}
	switch {
	case to.found && to.node == from.node:
		return nil
	case to.found:
		m.replace(from, to, now)
	default:
		m.leave(from.directory, from.name, from.node, now)
		m.enter(to.directory, to.name, from.node, now)
	}
	from.node.touch(now, false)
	return nil
}

// replace puts what is moved into the entry of what was there, so that whoever reads the directory finds one of them.
func (m *MemFS) replace(from, to pathEnd[*memNode], now time.Time) {
	m.leave(from.directory, from.name, from.node, now)
	to.directory.entries.get(to.name).node = from.node
	to.directory.touch(now, true)
	if from.node.fileType == TypeDirectory { // so is what it replaces: their number stays
		from.node.parent, to.node.parent = to.directory, nil
	}
	m.forget(to.node, now)
}

// renameError checks in the order of Linux.
func (m *MemFS) renameError(from, to pathEnd[*memNode]) error {
	switch {
	case !from.named() || !to.named():
		return EBUSY
	case !from.found, to.directory.names == 0:
		return ENOENT
	case from.node.fileType != TypeDirectory && (from.slash || to.slash):
		return ENOTDIR
	case to.directory.isWithin(from.node):
		return EINVAL
	case to.found && from.directory.isWithin(to.node):
		return ENOTEMPTY
	case to.found && to.node != from.node:
		return replaceError(from.node, to.node)
	}
	return nil
}

// replaceError says what is wrong with a node taking the place of another one.
func replaceError(node, replaced *memNode) error {
	directory, directoryThere := node.fileType == TypeDirectory, replaced.fileType == TypeDirectory
	switch {
	case directory && !directoryThere:
		return ENOTDIR
	case !directory && directoryThere:
		return EISDIR
	case replaced.entries.len() > 0:
		return ENOTEMPTY
	}
	return nil
}

// isWithin says whether the directory is the other node, or beneath it.
func (n *memNode) isWithin(other *memNode) bool {
	for ; n != nil; n = n.parent {
		if n == other {
			return true
		}
	}
	return false
}
