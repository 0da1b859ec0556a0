// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/test_mmu_notifier: every open file is a secondary MMU that user space
 * drives by the ioctls in test_mmu_notifier_uapi.h.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tmn.h"

static const struct tmn_manner_ops *const tmn_manners[TMN_MANNERS] = {
	[TMN_KVM] = &tmn_kvm_ops,
	[TMN_GRU] = &tmn_gru_ops,
	[TMN_XPMEM] = &tmn_xpmem_ops,
};

static const struct file_operations tmn_fops;

static struct tmn_mmu *tmn_mmu_of(struct tmn_device *dev)
{
	/* Pairs with tmn_publish(): what it points to is complete. */
	return smp_load_acquire(&dev->mmu);
}

static void tmn_publish(struct tmn_device *dev, struct tmn_mmu *mmu)
{
	/* Pairs with tmn_mmu_of(). */
	smp_store_release(&dev->mmu, mmu);
}

static bool tmn_mirror_valid(const struct tmn_mirror *arg)
{
	u64 limit = current->mm->task_size;

	if (arg->manner >= TMN_MANNERS ||
	    arg->flags & ~tmn_manners[arg->manner]->flags)
		return false;
	if (!PAGE_ALIGNED(arg->addr) || !PAGE_ALIGNED(arg->size))
		return false;
	return arg->size && arg->addr < limit && arg->size <= limit - arg->addr;
}

static int tmn_mirror(struct tmn_device *dev, void __user *uarg)
{
	struct tmn_mirror arg;
	struct tmn_mmu *mmu;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (!tmn_mirror_valid(&arg))
		return -EINVAL;
	guard(mutex)(&dev->setup);
	if (dev->mmu)
		return -EBUSY;
	mmu = tmn_manners[arg.manner]->create(&arg);
	if (IS_ERR(mmu))
		return PTR_ERR(mmu);
	dev->owner = true;
	tmn_publish(dev, mmu);
	return 0;
}

/* Returns the segment that the device open at @fd exports, with a reference. */
static struct tmn_mmu *tmn_segment_get(int fd)
{
	struct tmn_device *dev;
	struct tmn_mmu *mmu;

	CLASS(fd, f)(fd);
	if (fd_empty(f))
		return ERR_PTR(-EBADF);
	if (fd_file(f)->f_op != &tmn_fops)
		return ERR_PTR(-EINVAL);
	dev = fd_file(f)->private_data;
	mmu = tmn_mmu_of(dev);
	if (!mmu || !dev->owner || mmu->ops != &tmn_xpmem_ops)
		return ERR_PTR(-EINVAL);
	kref_get(&mmu->ref);
	return mmu;
}

static int tmn_attach(struct tmn_device *dev, void __user *uarg)
{
	struct tmn_attach arg;
	struct tmn_mmu *mmu;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.reserved)
		return -EINVAL;
	guard(mutex)(&dev->setup);
	if (dev->mmu)
		return -EBUSY;
	mmu = tmn_segment_get(arg.fd);
	if (IS_ERR(mmu))
		return PTR_ERR(mmu);
	tmn_xpmem_attach(dev, mmu);
	tmn_publish(dev, mmu);
	return 0;
}

static int tmn_access_page(struct tmn_mmu *mmu, unsigned long addr, void *buf,
			   size_t len, bool write, u64 *faults)
{
	int err;

	while (!tmn_copy(mmu, addr, buf, len, write)) {
		err = tmn_fault(mmu, addr, write);
		if (err)
			return err;
		++*faults;
	}
	return 0;
}

static int tmn_access_pages(struct tmn_mmu *mmu, struct tmn_access *arg,
			    void *buf, bool write)
{
	void __user *user = u64_to_user_ptr(arg->buf);
	size_t done, len;
	int err;

	for (done = 0; done < arg->len; done += len) {
		unsigned long addr = arg->addr + done;

		len = min_t(u64, arg->len - done,
			    PAGE_SIZE - offset_in_page(addr));
		if (write && copy_from_user(buf, user + done, len))
			return -EFAULT;
		err = tmn_access_page(mmu, addr, buf, len, write, &arg->faults);
		if (err)
			return err;
		if (!write && copy_to_user(user + done, buf, len))
			return -EFAULT;
	}
	return 0;
}

static int tmn_access(struct tmn_mmu *mmu, void __user *uarg, bool write)
{
	struct tmn_access arg;
	void *buf;
	int err;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (!arg.len || arg.addr < mmu->start || arg.addr >= mmu->end ||
	    arg.len > mmu->end - arg.addr)
		return -EINVAL;
	buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	arg.faults = 0;
	err = tmn_access_pages(mmu, &arg, buf, write);
	kfree(buf);
	if (!err && copy_to_user(uarg, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}

static int tmn_take_log(struct tmn_mmu *mmu, void __user *uarg)
{
	struct tmn_log arg;
	int err;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	err = tmn_log_read(mmu, &arg);
	if (!err && copy_to_user(uarg, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}

static int tmn_do_check(struct tmn_mmu *mmu, void __user *uarg)
{
	struct tmn_check arg;
	int err;

	err = tmn_check(mmu, &arg);
	if (!err && copy_to_user(uarg, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}

static int tmn_set_behaviour(struct tmn_device *dev, struct tmn_mmu *mmu,
			     void __user *uarg)
{
	struct tmn_behave arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.behaviour > TMN_FORGET)
		return -EINVAL;
	if (arg.msecs > (arg.behaviour == TMN_DELAY ? TMN_DELAY_MAX : 0))
		return -EINVAL;
	/* The owner's close must be able to cancel it for good. */
	if (!dev->owner)
		return -EPERM;
	tmn_behave(mmu->guard, arg.behaviour, arg.msecs);
	return 0;
}

/* The ioctls of a device that mirrors or is attached. */
static long tmn_ioctl_mmu(struct tmn_device *dev, unsigned int cmd,
			  void __user *uarg)
{
	struct tmn_mmu *mmu = tmn_mmu_of(dev);

	if (!mmu)
		return -EINVAL;
	switch (cmd) {
	case TMN_READ:
		return tmn_access(mmu, uarg, false);
	case TMN_WRITE:
		return tmn_access(mmu, uarg, true);
	case TMN_LOG:
		return tmn_take_log(mmu, uarg);
	case TMN_CHECK:
		return tmn_do_check(mmu, uarg);
	case TMN_BEHAVE:
		return tmn_set_behaviour(dev, mmu, uarg);
	}
	return -ENOTTY;
}

static long tmn_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct tmn_device *dev = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case TMN_MIRROR:
		return tmn_mirror(dev, uarg);
	case TMN_ATTACH:
		return tmn_attach(dev, uarg);
	case TMN_READ:
	case TMN_WRITE:
	case TMN_LOG:
	case TMN_CHECK:
	case TMN_BEHAVE:
		return tmn_ioctl_mmu(dev, cmd, uarg);
	}
	return -ENOTTY;
}

static int tmn_mmap_prepare(struct vm_area_desc *desc)
{
	struct tmn_device *dev = desc->file->private_data;
	struct tmn_mmu *mmu = tmn_mmu_of(dev);

	if (!mmu || dev->owner)
		return -EINVAL;
	return tmn_xpmem_mmap_prepare(desc, mmu);
}

static int tmn_open(struct inode *inode, struct file *file)
{
	struct tmn_device *dev;

	dev = kzalloc_obj(*dev);
	if (!dev)
		return -ENOMEM;
	mutex_init(&dev->setup);
	INIT_LIST_HEAD(&dev->attached);
	/* Not the inode's: the mappings of one device are zapped alone. */
	address_space_init_once(&dev->mapping);
	dev->mapping.host = inode;
	dev->mapping.a_ops = &empty_aops;
	mapping_set_gfp_mask(&dev->mapping, GFP_USER);
	file->f_mapping = &dev->mapping;
	file->private_data = dev;
	return 0;
}

static int tmn_close(struct inode *inode, struct file *file)
{
	struct tmn_device *dev = file->private_data;
	struct tmn_mmu *mmu = dev->mmu;

	if (mmu && dev->owner) {
		tmn_behave(mmu->guard, TMN_OBEY, 0);
		tmn_mmu_kill(mmu);
		mmu->ops->destroy(mmu);
	} else if (mmu) {
		tmn_xpmem_detach(dev);
	}
	if (mmu)
		tmn_mmu_put(mmu);
	kfree(dev);
	return 0;
}

static const struct file_operations tmn_fops = {
	.owner = THIS_MODULE,
	.open = tmn_open,
	.release = tmn_close,
	.unlocked_ioctl = tmn_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap_prepare = tmn_mmap_prepare,
	.llseek = noop_llseek,
};

static struct miscdevice tmn_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "test_mmu_notifier",
	.fops = &tmn_fops,
};

builtin_misc_device(tmn_misc);
