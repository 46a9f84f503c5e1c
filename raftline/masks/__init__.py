"""Motion masks: what moves in a stream of frames, other than the camera.

`MotionMasks.step` is the only entry; `MotionMaskOptions` says what counts. The way of a frame, each part a module:

    motion_masks            takes the frame, and returns results that are ready
      motion_detector       objects with ids, and events, of one frame
        background          does the camera stand still on the background?
        frame_camera        if not, how it moved
        segmentation        which points move
          residual_motion     cells whose flow is not the camera's
          background          how unlike the background each point looks (gaussian_mixture, illumination)
          depth_layers        moving cells that are scenery at another depth
          photometric_support where no background is known: what two images show
          foreground          moving points, with the outlines of the background
        regions             connected parts
        tracking            the same thing from frame to frame
        background          learns what does not move
        motion_events       when anything moves
      backdating            holds results back until new objects are confirmed
      margin                grows the mask
"""
