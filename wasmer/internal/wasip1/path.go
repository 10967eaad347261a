package wasip1

import "io"

// The flags of PathOpen.
const (
	openCreate uint32 = 1 << iota
	openDirectory
	openExclusive
	openTruncate
)

// lookupFollow is the only flag of paths: follow a symbolic link at the end.
const lookupFollow = 1

func (c *Call) PathOpen(fd, lookup, path, n, how uint32, rights, inheriting uint64, flags, result uint32) Errno {
	need := RightOpen
	if how&openCreate != 0 {
		need |= RightCreateFile
	}
	if how&openTruncate != 0 {
		need |= RightPathSetSize
	}
	d, errno := c.directory(fd, need)
	if errno != Success {
		return errno
	}
	name, errno := c.path(path, n)
	if errno != Success {
		return errno
	}
	if lookup&^lookupFollow != 0 || how > 15 || flags&^uint32(allFlags) != 0 ||
		how&openDirectory != 0 && how&(openCreate|openExclusive|openTruncate) != 0 {
		return EINVAL
	}
	if _, errno := c.bytes(result, 4); errno != Success {
		return errno
	}
	if c.table.full() {
		return EMFILE
	}
	granted := Rights(rights) & d.inheriting
	o := OpenOptions{
		Follow: lookup&lookupFollow != 0, Directory: how&openDirectory != 0, Create: how&openCreate != 0,
		Exclusive: how&openExclusive != 0, Truncate: how&openTruncate != 0,
		Read: granted&(RightRead|RightReaddir) != 0,
	}
	o.Write = granted&RightWrite != 0
	file, dir, err := d.dir.Open(name, o)
	if err != nil {
		return errnoOf(err)
	}
	if dir != nil {
		// Go does not ask for this one when it opens a folder, and truncates files in it nevertheless.
		granted |= d.inheriting & RightPathSetSize
	}
	opened := c.newDescriptor(file, dir, granted)
	opened.flags, opened.inheriting = Fdflags(flags), Rights(inheriting)&d.inheriting
	number, errno := c.table.add(opened)
	if errno != Success {
		_ = opened.close()
		return errno
	}
	return c.put32(result, number)
}

func (c *Call) newDescriptor(file File, dir Dir, granted Rights) *descriptor {
	if dir != nil {
		return &descriptor{dir: dir, rights: granted & directoryRights}
	}
	if reader, ok := file.(io.ReadWriter); ok {
		s := newStream(reader, reader)
		s.file, s.writesWait = file, true
		return &descriptor{stream: s, rights: granted & streamRights}
	}
	return &descriptor{file: file, rights: granted & fileRights}
}

// at finds the directory and the path of most functions.
func (c *Call) at(fd uint32, right Rights, path, n uint32) (Dir, string, Errno) {
	d, errno := c.directory(fd, right)
	if errno != Success {
		return nil, "", errno
	}
	name, errno := c.path(path, n)
	return d.dir, name, errno
}

func (c *Call) PathCreateDirectory(fd, path, n uint32) Errno {
	dir, name, errno := c.at(fd, RightCreateDirectory, path, n)
	if errno != Success {
		return errno
	}
	return errnoOf(dir.MakeDir(name))
}

func (c *Call) PathRemoveDirectory(fd, path, n uint32) Errno {
	dir, name, errno := c.at(fd, RightRemoveDirectory, path, n)
	if errno != Success {
		return errno
	}
	return errnoOf(dir.RemoveDir(name))
}

func (c *Call) PathUnlinkFile(fd, path, n uint32) Errno {
	dir, name, errno := c.at(fd, RightUnlinkFile, path, n)
	if errno != Success {
		return errno
	}
	return errnoOf(dir.Unlink(name))
}

func (c *Call) PathFilestatGet(fd, lookup, path, n, result uint32) Errno {
	dir, name, errno := c.at(fd, RightPathFilestat, path, n)
	switch {
	case errno != Success:
		return errno
	case lookup&^lookupFollow != 0:
		return EINVAL
	}
	stat, err := dir.Stat(name, lookup&lookupFollow != 0)
	if err != nil {
		return errnoOf(err)
	}
	return c.putStat(result, stat)
}

func (c *Call) PathFilestatSetTimes(fd, lookup, path, n uint32, accessed, modified uint64, flags uint32) Errno {
	dir, name, errno := c.at(fd, RightPathSetTimes, path, n)
	switch {
	case errno != Success:
		return errno
	case lookup&^lookupFollow != 0:
		return EINVAL
	}
	times, errno := c.times(accessed, modified, flags)
	if errno != Success {
		return errno
	}
	return errnoOf(dir.SetTimes(name, lookup&lookupFollow != 0, times))
}

func (c *Call) PathRename(fd, path, n, newFD, newPath, newN uint32) Errno {
	dir, name, errno := c.at(fd, RightRenameSource, path, n)
	if errno != Success {
		return errno
	}
	to, newName, errno := c.at(newFD, RightRenameTarget, newPath, newN)
	if errno != Success {
		return errno
	}
	return errnoOf(dir.Rename(name, to, newName))
}

func (c *Call) PathLink(fd, lookup, path, n, newFD, newPath, newN uint32) Errno {
	dir, name, errno := c.at(fd, RightLinkSource, path, n)
	if errno != Success {
		return errno
	}
	to, newName, errno := c.at(newFD, RightLinkTarget, newPath, newN)
	switch {
	case errno != Success:
		return errno
	case lookup != 0: // following is not offered, as elsewhere
		return EINVAL
	}
	return errnoOf(dir.Link(name, to, newName))
}

func (c *Call) PathSymlink(target, targetN, fd, path, n uint32) Errno {
	dir, name, errno := c.at(fd, RightSymlink, path, n)
	if errno != Success {
		return errno
	}
	link, errno := c.path(target, targetN)
	if errno != Success {
		return errno
	}
	return errnoOf(dir.Symlink(link, name))
}

func (c *Call) PathReadlink(fd, path, n, buffer, size, result uint32) Errno {
	dir, name, errno := c.at(fd, RightReadlink, path, n)
	if errno != Success {
		return errno
	}
	target, errno := c.bytes(buffer, size)
	if errno != Success {
		return errno
	}
	link, err := dir.ReadLink(name)
	if err != nil {
		return errnoOf(err)
	}
	return c.put32(result, uint32(copy(target, link)))
}
