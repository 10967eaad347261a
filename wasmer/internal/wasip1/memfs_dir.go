package wasip1

// memDir is an open directory of a MemFS.
type memDir struct {
	fs   *MemFS
	node *memNode
	// closed is guarded by the tree's lock.
	closed bool
}

// openDir needs the tree to be locked.
func (m *MemFS) openDir(n *memNode) *memDir {
	n.handles++
	return &memDir{fs: m, node: n}
}

func (d *memDir) Close() error {
	return d.change(func() error {
		d.closed = true
		d.node.handles--
		d.fs.release(d.node)
		return nil
	})
}

// view does something that changes no names.
func (d *memDir) view(do func() error) error {
	d.fs.tree.RLock()
	defer d.fs.tree.RUnlock()
	if d.closed {
		return EBADF
	}
	return do()
}

// change does something that may change names.
func (d *memDir) change(do func() error) error {
	d.fs.tree.Lock()
	defer d.fs.tree.Unlock()
	if d.closed {
		return EBADF
	}
	return do()
}

func (d *memDir) find(path string, follow bool) (*memNode, error) {
	return find(d.fs, d.node, path, follow)
}

func (d *memDir) walk(path string) (pathEnd[*memNode], error) {
	return walk(d.fs, d.node, path, followNone)
}

func (d *memDir) Open(path string, o OpenOptions) (file File, dir Dir, err error) {
	now := d.fs.now()
	err = d.change(func() error {
		end, err := findToOpen(d.fs, d.node, path, o)
		if err != nil {
			return err
		}
		node := end.node
		if !end.found {
			if node, err = d.fs.create(end, TypeRegular, "", now); err != nil {
				return err
			}
		}
		if node.fileType == TypeDirectory {
			dir = d.fs.openDir(node)
			return nil
		}
		if o.Truncate && end.found {
			node.setSize(d.fs, 0, now)
		}
		file = d.fs.openFile(node, o)
		return nil
	})
	return file, dir, err
}

func (d *memDir) Stat(path string, follow bool) (stat Stat, err error) {
	err = d.view(func() error {
		node, err := d.find(path, follow)
		if err == nil {
			stat = d.fs.stat(node)
		}
		return err
	})
	return stat, err
}

func (d *memDir) SetTimes(path string, follow bool, times Times) error {
	now := d.fs.now()
	return d.view(func() error {
		node, err := d.find(path, follow)
		if err == nil {
			node.setTimes(times, now)
		}
		return err
	})
}

func (d *memDir) MakeDir(path string) error {
	now := d.fs.now()
	return d.change(func() error {
		end, err := d.walk(path)
		if err != nil {
			return err
		}
		if end.found {
			return EEXIST
		}
		_, err = d.fs.create(end, TypeDirectory, "", now)
		return err
	})
}

func (d *memDir) Symlink(target, path string) error {
	// An empty target leads nowhere; one that is as long as paths may be has no room for the NUL that ends it elsewhere.
	switch {
	case len(target) >= maxPath:
		return ENAMETOOLONG
	case checkPath(target) != nil:
		return checkPath(target)
	}
	now := d.fs.now()
	return d.change(func() error {
		end, err := vacant(d.fs, d.node, path)
		if err != nil {
			return err
		}
		_, err = d.fs.create(end, TypeSymbolicLink, target, now)
		return err
	})
}

func (d *memDir) Link(path string, to Dir, newPath string) error {
	other, err := d.sibling(to)
	if err != nil {
		return err
	}
	now := d.fs.now()
	return d.change(func() error {
		if other.closed {
			return EBADF
		}
		node, err := d.find(path, false)
		if err != nil {
			return err
		}
		end, err := vacant(d.fs, other.node, newPath)
		if err != nil {
			return err
		}
		return d.fs.link(node, end, now)
	})
}

// sibling is an open directory of the same file system.
func (d *memDir) sibling(to Dir) (*memDir, error) {
	other, ok := to.(*memDir)
	if !ok || other.fs != d.fs {
		return nil, EXDEV
	}
	return other, nil
}

func (d *memDir) RemoveDir(path string) error {
	now := d.fs.now()
	return d.change(func() error {
		end, err := d.walk(path)
		switch {
		case err != nil:
			return err
		case end.name == ".":
			return EINVAL
		case end.name == "..":
			return ENOTEMPTY
		case !end.found:
			return ENOENT
		case end.node.fileType != TypeDirectory:
			return ENOTDIR
		case end.node.entries.len() > 0:
			return ENOTEMPTY
		}
		d.fs.remove(end, now)
		return nil
	})
}

func (d *memDir) Unlink(path string) error {
	now := d.fs.now()
	return d.change(func() error {
		end, err := d.walk(path)
		switch {
		case err != nil:
			return err
		case !end.named():
			return EISDIR
		case !end.found:
			return ENOENT
		case end.node.fileType == TypeDirectory:
			return EISDIR
		case end.slash:
			return ENOTDIR
		}
		d.fs.remove(end, now)
		return nil
	})
}

func (d *memDir) ReadLink(path string) (target string, err error) {
	err = d.view(func() error {
		node, err := d.find(path, false)
		if err != nil {
			return err
		}
		if node.fileType != TypeSymbolicLink {
			return EINVAL
		}
		target = node.linkTarget
		return nil
	})
	return target, err
}

func (d *memDir) Entries() (Entries, error) {
	err := d.view(func() error {
		if d.node.names == 0 {
			return ENOENT
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &memCursor{tree: &d.fs.tree, node: d.node}, nil
}

func (d *memDir) Sync() error { return d.view(func() error { return nil }) }

func (d *memDir) Rename(path string, to Dir, newPath string) error {
	other, err := d.sibling(to)
	if err != nil {
		return err
	}
	now := d.fs.now()
	return d.change(func() error {
		if other.closed {
			return EBADF
		}
		from, err := d.walk(path)
		if err != nil {
			return err
		}
		to, err := other.walk(newPath)
		if err != nil {
			return err
		}
		return d.fs.rename(from, to, now)
	})
}
